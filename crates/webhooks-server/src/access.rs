//! Who calls, and what they may do.

mod api_key;
mod authenticate;
mod caller;
mod keys;
mod limits;
mod scope;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ConnectInfo;
use http::StatusCode;
use http::header::AUTHORIZATION;
use http::request::Parts;
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use webhooks_core::Timestamp;

pub(crate) use self::api_key::{ApiKey, KeyTerms, KeyText};
pub use self::authenticate::Authenticate;
pub use self::caller::{Caller, Via};
pub(crate) use self::keys::ApiKeys;
pub(crate) use self::limits::{Limits, Rates};
pub use self::scope::{Role, Scope, Scopes};
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
    /// How often each may call.
    pub(crate) limits: Limits,
    /// Counts who is not let in.
    pub(crate) measure: Measure,
}

/// A key that opens everything and is kept nowhere: SHA-256 of it.
#[derive(Clone, Copy)]
pub(crate) struct RootKey([u8; 32]);

impl RootKey {
    /// That of this text.
    pub(crate) fn new(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }

    /// Whether this text is the key, in a time that does not depend on it.
    fn is(self, text: &str) -> bool {
        use ctutils::CtEq;
        self.0.ct_eq(&Self::new(text).0).into()
    }
}

impl std::fmt::Debug for RootKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RootKey(..)")
    }
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
        match bearer(parts)? {
            Some(text) => self.bearer(text, address(parts), now).await,
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
            return Ok(Caller {
                via: Via::Bearer,
                ..Caller::host("root", Role::Admin.scopes())
            });
        }
        let text = KeyText::parse(text);
        // Who is known is not refused for what strangers guess.
        if !text
            .as_ref()
            .is_some_and(|text| self.keys.were_given(text, now))
        {
            self.limits.may_guess(from, now)?;
        }
        let found = match text {
            Some(text) => self.keys.find(&text).await?.map(|key| (text.id, key)),
            None => None,
        };
        let is_allowed = |key: &ApiKey| {
            let mut networks = key.allowed_cidrs.iter();
            let from = from.map(|from| from.to_canonical());
            key.allowed_cidrs.is_empty()
                || from.is_some_and(|from| networks.any(|network| network.contains(&from)))
        };
        let Some((id, key)) = found.filter(|(_, key)| is_allowed(key)) else {
            self.limits.bad_key(from, now);
            tokio::time::sleep(REFUSAL).await;
            return Err(Problem::unauthorized());
        };
        let caller = Caller {
            via: Via::Bearer,
            expires_at: key.expires_at,
            ..Caller::host(format!("key:{id}"), key.scopes)
        };
        Ok(match &key.tenant {
            Some(tenant) => caller.for_tenant(tenant.clone()),
            None => caller,
        })
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

/// Where a request comes from, if whoever serves tells that.
fn address(parts: &Parts) -> Option<IpAddr> {
    let from = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    from.map(|ConnectInfo(address)| address.ip())
}
