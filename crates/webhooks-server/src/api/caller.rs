//! Who makes a request, for handlers.

use axum::extract::FromRequestParts;
use http::request::Parts;

use super::state::Api;
use crate::access::Caller;
use crate::problem::Problem;

impl FromRequestParts<Api> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        // Who was let in before, under an idempotency key, is not counted again.
        match parts.extensions.remove::<Self>() {
            Some(caller) => Ok(caller),
            None => api.access.caller(parts).await,
        }
    }
}
