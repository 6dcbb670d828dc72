//! Who calls, and what they may do.
//!
//! # Order
//! A request is looked at in this order, and the first that it has decides: `Authorization`, the cookie
//! of a session, the host's [`Authenticate`]. A request with a bad `Authorization` is refused and never
//! tried as a session: a client that shows a key wants to act under it.
//!
//! # Guesses
//! A guess is what is neither the root key, nor a token that is taken, nor a key that was found before.
//! Five bad keys of one address in a
//! minute, or sixty of all, refuse further unknown keys with 429. A caller whose key was found before is
//! not refused by that, so a stranger cannot lock out who works. Each refusal of a bad key takes 250 ms
//! at least. Why a key is refused (unknown, ended, from another network) is never told.

mod api_key;
mod authenticate;
mod caller;
mod keys;
mod limits;
mod proxies;
mod root_key;
mod scope;
mod server_secret;
mod sessions;
mod tenant_tokens;
mod window;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use tokio::time::Instant;
use webhooks_core::Timestamp;

pub(crate) use self::api_key::{ApiKey, KeyTerms, KeyText};
pub use self::authenticate::Authenticate;
pub use self::caller::{Caller, Via};
pub(crate) use self::keys::ApiKeys;
pub(crate) use self::limits::{Limits, Rates};
pub(crate) use self::proxies::Proxies;
pub(crate) use self::root_key::RootKey;
pub use self::scope::{Role, Scope, Scopes};
pub(crate) use self::server_secret::ServerSecret;
pub(crate) use self::sessions::Sessions;
use self::sessions::Shown;
pub(crate) use self::tenant_tokens::TenantTokens;
use self::tenant_tokens::{ReadToken, TenantToken};
use crate::measure::{Measure, NotLetIn};
use crate::problem::Problem;

/// How long the answer to a bad key takes at least: guesses cost time.
const REFUSAL: Duration = Duration::from_millis(250);

/// Lets callers in.
#[derive(Debug)]
pub(crate) struct Access {
    /// The keys that the storage keeps.
    pub(crate) keys: Arc<ApiKeys>,
    pub(crate) host: Option<Arc<dyn Authenticate>>,
    /// The key that opens everything, if there is one.
    pub(crate) root: Option<RootKey>,
    /// Tokens of tenants.
    pub(crate) tokens: Arc<TenantTokens>,
    /// Sessions of browsers.
    pub(crate) sessions: Sessions,
    /// Who is believed where a request comes from.
    pub(crate) proxies: Proxies,
    /// How often each may call.
    pub(crate) limits: Arc<Limits>,
    /// Counts who is not let in.
    pub(crate) measure: Measure,
}

impl Access {
    /// Who makes this request.
    ///
    /// # Errors
    ///
    /// 401 without a key or with a bad one, 429 for who calls or guesses too often.
    pub(crate) async fn caller(&self, parts: &Parts) -> Result<Caller, Problem> {
        let identified = self.identify(parts).await;
        let caller = identified.inspect_err(|problem| self.refused(parts, problem))?;
        let now = self.keys.documents().now()?;
        self.limits
            .take(&caller.actor, caller.tenant.is_some(), now)?;
        Ok(caller)
    }

    /// Begins a session of whoever shows a key with this request; the cookie that stands for it.
    ///
    /// # Errors
    ///
    /// As [`caller`](Self::caller); 401 for what is no key.
    pub(crate) async fn begin_session(
        &self,
        parts: &Parts,
    ) -> Result<(Caller, HeaderValue), Problem> {
        let caller = self.caller(parts).await?;
        let text = bearer(parts)?.unwrap_or_default();
        let root = self.root.filter(|root| root.is(text));
        let key = KeyText::parse(text).map(|text| Shown::Key(text.id));
        let shown = root.map(|root| Shown::Root(root.mark())).or(key);
        let shown = shown.ok_or_else(Problem::unauthorized)?;
        let cookie = self.sessions.begin(shown, parts).await?;
        Ok((caller, cookie))
    }

    /// Who has the session of this request.
    async fn of_session(&self, parts: &Parts, now: Timestamp) -> Result<Option<Caller>, Problem> {
        let Some(session) = self.sessions.of(parts).await? else {
            return Ok(None);
        };
        let caller = match session.shown {
            Shown::Root(mark) => {
                let root = self.root.filter(|root| root.mark() == mark);
                root.map(|_| Caller::host("root", Role::Admin.scopes()))
            }
            Shown::Key(id) => {
                let key = self.keys.live(&id, now).await?;
                let from = self.proxies.client(parts);
                let key = key.filter(|key| key.is_allowed_from(from));
                key.map(|key| of_key(&id, &key))
            }
        };
        Ok(caller.map(|caller| Caller {
            via: Via::Cookie,
            ..caller
        }))
    }

    /// Counts a request that was not let in.
    fn refused(&self, parts: &Parts, problem: &Problem) {
        let why = match problem.status() {
            StatusCode::UNAUTHORIZED if parts.headers.contains_key(AUTHORIZATION) => {
                NotLetIn::BadKey
            }
            StatusCode::UNAUTHORIZED => NotLetIn::NoKey,
            StatusCode::TOO_MANY_REQUESTS => NotLetIn::TooManyGuesses,
            _ => return,
        };
        self.measure.not_let_in(why);
    }

    /// Who makes this request, without counting it.
    pub(crate) async fn identify(&self, parts: &Parts) -> Result<Caller, Problem> {
        let now = self.keys.documents().now()?;
        if let Some(text) = bearer(parts)? {
            return self.bearer(text, self.proxies.client(parts), now).await;
        }
        match self.of_session(parts, now).await? {
            Some(caller) => Ok(caller),
            None => self.host(parts).await,
        }
    }

    /// When to ask again who a caller is, whose request goes on: after this time, or when what they
    /// showed ends.
    pub(crate) fn trusted_until(
        &self,
        caller: &Caller,
        most: Duration,
    ) -> Result<Instant, Problem> {
        let now = self.keys.documents().now()?;
        let left = caller.expires_at.map_or(most, |end| end.since(now));
        Ok(Instant::now() + left.min(most))
    }

    /// Who calls, as the host knows it.
    async fn host(&self, parts: &Parts) -> Result<Caller, Problem> {
        let host = self.host.as_ref().ok_or_else(Problem::unauthorized)?;
        host.caller(parts).await?.ok_or_else(Problem::unauthorized)
    }

    /// Who calls with this text behind `Bearer`.
    async fn bearer(
        &self,
        text: &str,
        from: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Caller, Problem> {
        if self.root.is_some_and(|root| root.is(text)) {
            let caller = Caller::host("root", Role::Admin.scopes());
            return Ok(by_bearer(caller));
        }
        let key = KeyText::parse(text);
        // Who is known is not refused for what strangers guess.
        let is_known = |key: &KeyText| self.keys.were_given(key, now);
        if TenantTokens::is_token(text) {
            match self.tokens.read(text).await? {
                ReadToken::Taken(token) => return Ok(by_bearer(of_token(token))),
                // Pages of a tenant go on asking with it: that must not keep others out as guesses do.
                ReadToken::Ended => return Err(Problem::unauthorized()),
                ReadToken::Forged => {}
            }
        }
        if !key.as_ref().is_some_and(is_known) {
            self.limits.may_guess(from, now)?;
        }
        let found = match key {
            Some(text) => self.keys.find(&text).await?.map(|key| (text.id, key)),
            None => None,
        };
        let Some((id, key)) = found.filter(|(_, key)| key.is_allowed_from(from)) else {
            self.limits.bad_key(from, now);
            tokio::time::sleep(REFUSAL).await;
            return Err(Problem::unauthorized());
        };
        Ok(by_bearer(of_key(&id, &key)))
    }
}

/// Who has this key.
fn of_key(id: &str, key: &ApiKey) -> Caller {
    let caller = Caller {
        expires_at: key.expires_at,
        ..Caller::host(format!("key:{id}"), key.scopes)
    };
    match &key.tenant {
        Some(tenant) => caller.for_tenant(tenant.clone()),
        None => caller,
    }
}

/// Who has this token.
fn of_token(token: TenantToken) -> Caller {
    let caller = Caller::host(format!("token:{}", token.id), token.scopes);
    let caller = Caller {
        expires_at: Some(token.expires_at),
        ..caller
    };
    caller.for_tenant(token.tenant)
}

/// The same, who has shown it by `Authorization`.
fn by_bearer(caller: Caller) -> Caller {
    Caller {
        via: Via::Bearer,
        ..caller
    }
}

/// The text behind `Authorization: Bearer`, if there is that header.
fn bearer(parts: &Parts) -> Result<Option<&str>, Problem> {
    let Some(value) = parts.headers.get(AUTHORIZATION) else {
        return Ok(None);
    };
    let text = value.to_str().ok();
    let split = text.and_then(|text| text.split_once(' '));
    let bearer = split.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let key = bearer.map(|(_, key)| key.trim());
    key.map(Some).ok_or_else(Problem::unauthorized)
}
