//! Sessions of people who have shown a key once, in a browser.
//!
//! # Cookie
//! The cookie holds 256 random bits. The storage keeps the session under their SHA-256, so a reader of
//! the storage cannot make a cookie from what it holds. Over TLS the cookie is `__Host-webhooks`: a
//! browser accepts that prefix only with `Secure`, `Path=/` and no `Domain`, so no other host of the
//! domain can set it. On a loopback host, where there is no TLS, it is `webhooks` without `Secure`. Both
//! are `HttpOnly`, which keeps scripts from them, and `SameSite=Strict`.
//!
//! # Requests of other sites
//! A browser attaches a cookie whichever page makes the request. So a request with another method than
//! a safe one must prove that a page of this server made it: `Sec-Fetch-Site` must be `same-origin`. A
//! browser that does not send this header must send an `Origin` whose host is that of `Host`. A request
//! with neither is refused with 403 `cross-site`. A caller with `Authorization` never comes here: no
//! browser adds that header by itself.
//!
//! # How a session ends
//! - The client ends it: the document is deleted.
//! - 8 hours pass without a request, or 24 hours since it began.
//! - What was shown ends. A session holds the id of a key, not its scopes. They are looked up for each
//!   request, so a key that is deleted, ended or narrowed ends or narrows its sessions. Another root key
//!   has another mark, which ends sessions of the one before.
//!
//! The use of a session is written once a minute at most, so an idle session may end up to a minute
//! early. A note that loses a race is dropped: the next request writes it.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use better_auth_webhooks::storage::Expected;
use http::request::Parts;
use http::{HeaderValue, header};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use webhooks_core::{Timestamp, random_bytes};

use crate::documents::{Documents, Kept};
use crate::problem::Problem;

/// How long a session lasts without a request, and at most.
const IDLE: Duration = Duration::from_secs(8 * 3_600);
const LONGEST: Duration = Duration::from_secs(24 * 3_600);
/// How exactly its last use is known. Each use that is noted costs a write.
const USE_NOTED: Duration = Duration::from_secs(60);
/// Cookies, over TLS and on the machine itself without it.
const SECURE: &str = "__Host-webhooks";
const PLAIN: &str = "webhooks";

/// Sessions, each kept under SHA-256 of the text in the cookie.
#[derive(Debug)]
pub(crate) struct Sessions {
    documents: Documents,
}

/// Who has a session.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Session {
    /// What they have shown: it is looked at again for each request, so that a session ends with its
    /// key.
    pub(crate) shown: Shown,
    created_at: Timestamp,
    used_at: Timestamp,
}

/// What somebody has shown to have a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Shown {
    /// The root key with this mark.
    Root([u8; 8]),
    /// The API key with this id.
    Key(String),
}

impl Sessions {
    /// Sessions that are kept so.
    pub(crate) const fn new(documents: Documents) -> Self {
        Self { documents }
    }

    /// Begins a session; the cookie that stands for it.
    ///
    /// The text is answered in the cookie alone and is kept nowhere.
    pub(crate) async fn begin(&self, shown: Shown, parts: &Parts) -> Result<HeaderValue, Problem> {
        let text = URL_SAFE_NO_PAD.encode(random_bytes::<32>()?);
        let now = self.documents.now()?;
        let session = Session {
            shown,
            created_at: now,
            used_at: now,
        };
        let id = id(&text);
        let put = self
            .documents
            .put(&id, &session, Expected::Absent, Some(IDLE));
        put.await?;
        Ok(cookie(parts, &text, LONGEST))
    }

    /// The session of this request, if it has one that goes on.
    ///
    /// # Errors
    ///
    /// 403 if it changes something and comes from another site: the browser sends cookies whoever asks.
    pub(crate) async fn of(&self, parts: &Parts) -> Result<Option<Session>, Problem> {
        let Some(text) = text(parts).filter(|_| self.documents.are_kept()) else {
            return Ok(None);
        };
        let id = id(text);
        let Some(kept) = self.documents.get::<Session>(&id).await? else {
            return Ok(None);
        };
        let now = self.documents.now()?;
        let (age, idle) = (
            now.since(kept.value.created_at),
            now.since(kept.value.used_at),
        );
        if age >= LONGEST || idle >= IDLE {
            return Ok(None);
        }
        if !parts.method.is_safe() && !is_same_origin(parts) {
            let detail = "a request with a session must come from the pages of this server";
            let status = http::StatusCode::FORBIDDEN;
            return Err(Problem::new(status, "cross-site", detail));
        }
        if idle >= USE_NOTED {
            self.note_use(kept.clone(), now).await;
        }
        Ok(Some(kept.value))
    }

    /// Ends the session of this request; the cookie that takes the place of its own.
    pub(crate) async fn end(&self, parts: &Parts) -> Result<HeaderValue, Problem> {
        if let Some(text) = text(parts) {
            self.documents.delete(&id(text)).await?;
        }
        Ok(cookie(parts, "", Duration::ZERO))
    }

    /// Notes that a session goes on. If that fails, its next request notes it.
    async fn note_use(&self, mut kept: Kept<Session>, now: Timestamp) {
        kept.value.used_at = now;
        let expected = Expected::Revision(kept.revision);
        let put = self
            .documents
            .put(&kept.id, &kept.value, expected, Some(IDLE));
        if let Err(error) = put.await {
            tracing::debug!(error = error.detail(), "the use of a session is not noted");
        }
    }
}

/// Under what a session is kept: who reads the storage has no session by it.
fn id(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(text.as_bytes()))
}

/// The text in the cookie of a request. Over TLS the plain name does not count: a page of another host of
/// the same domain could set it, and so give a browser a session of somebody else.
fn text(parts: &Parts) -> Option<&str> {
    let name = cookie_name(parts);
    let cookies = parts.headers.get_all(header::COOKIE).iter();
    let lines = cookies.filter_map(|value| value.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';'));
    let mut named = pairs.filter_map(|pair| pair.trim().split_once('='));
    named.find_map(|(told, text)| (told == name).then_some(text))
}

/// What the cookie is called where this request goes.
fn cookie_name(parts: &Parts) -> &'static str {
    match is_loopback(parts) {
        true => PLAIN,
        false => SECURE,
    }
}

/// A cookie with this text. That over TLS is of this host alone, as its name says.
fn cookie(parts: &Parts, text: &str, lasts: Duration) -> HeaderValue {
    let seconds = lasts.as_secs();
    let name = cookie_name(parts);
    let secure = if name == SECURE { "; Secure" } else { "" };
    let cookie =
        format!("{name}={text}; Max-Age={seconds}; Path=/; HttpOnly; SameSite=Strict{secure}");
    // Base64 and the rest of it are header values in any case.
    let mut value = HeaderValue::from_str(&cookie).unwrap_or(HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

/// Whether the browser is on the machine of the server, where there is no TLS.
fn is_loopback(parts: &Parts) -> bool {
    let Some(host) = host(parts) else {
        return false;
    };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let address = name.parse::<std::net::IpAddr>();
    name == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Whether a page of this server makes the request, as the browser tells.
fn is_same_origin(parts: &Parts) -> bool {
    let text = |name| {
        parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    if let Some(site) = text("sec-fetch-site") {
        return site == "same-origin";
    }
    let origin = text("origin").and_then(|origin| origin.split_once("://"));
    origin.is_some_and(|(_, origin)| Some(origin) == host(parts))
}

/// The host that was asked.
fn host(parts: &Parts) -> Option<&str> {
    let told = parts.headers.get(header::HOST);
    let told = told.and_then(|host| host.to_str().ok());
    told.or_else(|| parts.uri.authority().map(http::uri::Authority::as_str))
}
