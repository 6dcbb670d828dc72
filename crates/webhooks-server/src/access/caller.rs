//! Who makes a request.

use std::sync::Arc;

use webhooks_core::Timestamp;

use super::scope::{Scope, Scopes};
use crate::problem::Problem;

/// Who makes a request, and what they may do.
///
/// ```
/// use webhooks_server::{Caller, Role, Scope};
///
/// let caller = Caller::host("user:42", Role::Admin.scopes()).for_tenant("acme");
/// assert_eq!(caller.tenant.as_deref(), Some("acme"));
/// assert!(caller.scopes.contains(Scope::EndpointsWrite));
/// // No caller of a tenant can have what concerns the whole system.
/// assert!(!caller.scopes.contains(Scope::KeysAdmin));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Caller {
    /// Who it is, for people and for the audit log: `key:ab12cd34`, `user:42`.
    pub actor: Arc<str>,
    /// The tenant whose things alone they see; `None` for those who run the system.
    pub tenant: Option<Arc<str>>,
    /// What they may do.
    pub scopes: Scopes,
    /// How they showed who they are.
    pub via: Via,
    /// When that ends.
    pub expires_at: Option<Timestamp>,
}

/// How a caller showed who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Via {
    /// By a key or a token in `Authorization`.
    Bearer,
    /// By the cookie of a session.
    Cookie,
    /// By what the host's [`Authenticate`](super::Authenticate) said.
    Host,
}

impl Via {
    /// As the audit log has it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Bearer => "bearer",
            Self::Cookie => "cookie",
            Self::Host => "host",
        }
    }
}

impl Caller {
    /// Somebody who runs the system, as the host knows them.
    #[must_use]
    pub fn host(actor: impl Into<Arc<str>>, scopes: Scopes) -> Self {
        Self {
            actor: actor.into(),
            tenant: None,
            scopes,
            via: Via::Host,
            expires_at: None,
        }
    }

    /// The same for one tenant: they see what is of its endpoints alone, and keep those scopes that
    /// [a tenant can have](Scopes::of_tenants).
    #[must_use]
    pub fn for_tenant(self, tenant: impl Into<Arc<str>>) -> Self {
        Self {
            tenant: Some(tenant.into()),
            scopes: self.scopes.and(Scopes::of_tenants()),
            ..self
        }
    }

    /// Refuses what needs this scope, if the caller lacks it.
    pub(crate) fn needs(&self, scope: Scope) -> Result<(), Problem> {
        self.scopes.need(scope)
    }

    /// Whether they may see credentials in URLs.
    pub(crate) fn sees_credentials(&self) -> bool {
        self.scopes.contains(Scope::EndpointsWrite) || self.scopes.contains(Scope::EndpointsSecrets)
    }
}
