//! How a host tells who calls.

use std::fmt::Debug;

use async_trait::async_trait;
use http::request::Parts;

use super::caller::Caller;
use crate::problem::Problem;

/// Tells who makes a request by what the host knows: its own sessions, a client certificate.
///
/// It is asked for requests without `Authorization: Bearer`.
///
/// ```
/// use webhooks_server::{Authenticate, Caller, Problem, Role};
///
/// /// Trusts a header that the proxy in front of this service sets.
/// #[derive(Debug)]
/// struct BehindProxy;
///
/// #[async_trait::async_trait]
/// impl Authenticate for BehindProxy {
///     async fn caller(&self, parts: &http::request::Parts) -> Result<Option<Caller>, Problem> {
///         let user = parts.headers.get("x-user").and_then(|user| user.to_str().ok());
///         Ok(user.map(|user| Caller::host(format!("user:{user}"), Role::Viewer.scopes())))
///     }
/// }
/// ```
#[async_trait]
pub trait Authenticate: Debug + Send + Sync + 'static {
    /// Who makes this request; `None` if the host does not know.
    ///
    /// # Errors
    ///
    /// A [`Problem`], which is answered as it is: the host cannot tell now.
    async fn caller(&self, parts: &Parts) -> Result<Option<Caller>, Problem>;
}
