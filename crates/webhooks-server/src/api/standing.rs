//! Who makes a request that goes on for long, and whether they still may.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts;
use http::request::Parts;
use tokio::time::Instant;

use super::state::Api;
use crate::access::{Access, Caller};
use crate::problem::Problem;

/// How long a caller is taken for who they were.
const TRUSTED: Duration = Duration::from_secs(30);

/// A caller whose request goes on: they are asked again who they are, with what they showed at first.
#[derive(Debug)]
pub(super) struct Standing {
    pub(super) caller: Caller,
    parts: Parts,
    access: Arc<Access>,
    /// When to ask again.
    until: Instant,
}

impl FromRequestParts<Api> for Standing {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let caller = api.access.caller(parts).await?;
        Ok(Self {
            until: api.access.trusted_until(&caller, TRUSTED)?,
            caller,
            parts: parts.clone(),
            access: api.access.clone(),
        })
    }
}

impl Standing {
    /// When to ask again.
    pub(super) const fn until(&self) -> Instant {
        self.until
    }

    /// Whether the request may go on, asking again once it is time to. A key that has ended or lost a
    /// scope ends it, and so does one of which nobody can tell.
    pub(super) async fn holds(&mut self) -> bool {
        if Instant::now() < self.until {
            return true;
        }
        let Ok(now) = self.access.identify(&self.parts).await else {
            return false;
        };
        let Ok(until) = self.access.trusted_until(&now, TRUSTED) else {
            return false;
        };
        let is_same = now.actor == self.caller.actor
            && now.tenant == self.caller.tenant
            && self.caller.scopes.are_among(now.scopes);
        self.until = until;
        is_same
    }
}
