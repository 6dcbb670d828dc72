//! What a caller may do.
//!
//! A scope is a bit, and its name is its form outside: in keys, in answers and in errors. The names are
//! kept with each key in the storage, so a name must not change. The place of the bit is stored nowhere
//! and may.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};

use crate::problem::Problem;

/// One thing that a caller may do.
///
/// A scope has a name, by which keys and the API speak of it:
///
/// ```
/// use webhooks_server::Scope;
///
/// assert_eq!(Scope::EventsSend.as_str(), "events:send");
/// assert_eq!(Scope::try_from("audit:read".to_owned()), Ok(Scope::AuditRead));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
#[non_exhaustive]
pub enum Scope {
    /// Send events.
    EventsSend,
    /// See events, without their data.
    EventsRead,
    /// See the data of events, and what endpoints answered.
    PayloadsRead,
    /// See endpoints, without their secrets.
    EndpointsRead,
    /// Make, change and delete endpoints, and send tests to them.
    EndpointsWrite,
    /// Rotate secrets, and see them where the server reveals them at all.
    EndpointsSecrets,
    /// See deliveries and dead letters.
    DeliveriesRead,
    /// Cancel, resend and replay deliveries.
    DeliveriesWrite,
    /// Drop deliveries and payloads.
    DeliveriesPurge,
    /// See event types.
    EventTypesRead,
    /// Change event types.
    EventTypesWrite,
    /// See numbers.
    MetricsRead,
    /// Make links and tokens for tenants.
    PortalIssue,
    /// Make and revoke API keys.
    KeysAdmin,
    /// See what was done by whom.
    AuditRead,
    /// All that concerns the system as a whole.
    Admin,
}

/// Every scope with its name.
const NAMES: [(Scope, &str); 16] = [
    (Scope::EventsSend, "events:send"),
    (Scope::EventsRead, "events:read"),
    (Scope::PayloadsRead, "payloads:read"),
    (Scope::EndpointsRead, "endpoints:read"),
    (Scope::EndpointsWrite, "endpoints:write"),
    (Scope::EndpointsSecrets, "endpoints:secrets"),
    (Scope::DeliveriesRead, "deliveries:read"),
    (Scope::DeliveriesWrite, "deliveries:write"),
    (Scope::DeliveriesPurge, "deliveries:purge"),
    (Scope::EventTypesRead, "event_types:read"),
    (Scope::EventTypesWrite, "event_types:write"),
    (Scope::MetricsRead, "metrics:read"),
    (Scope::PortalIssue, "portal:issue"),
    (Scope::KeysAdmin, "keys:admin"),
    (Scope::AuditRead, "audit:read"),
    (Scope::Admin, "admin"),
];

impl Scope {
    /// Every scope.
    pub fn all() -> impl Iterator<Item = Self> {
        NAMES.iter().map(|(scope, _)| *scope)
    }

    /// The name of the scope.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        let named = NAMES.iter().find(|(scope, _)| *scope == self);
        named.map_or("", |(_, name)| name)
    }

    /// Its place in [`Scopes`].
    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

impl utoipa::PartialSchema for Scope {
    fn schema() -> RefOr<Schema> {
        let names = NAMES.map(|(_, name)| name);
        let texts = ObjectBuilder::new().schema_type(Type::String);
        texts.enum_values(Some(names)).into()
    }
}

impl ToSchema for Scope {}

impl From<Scope> for &'static str {
    fn from(scope: Scope) -> Self {
        scope.as_str()
    }
}

impl TryFrom<String> for Scope {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let named = NAMES.iter().find(|(_, known)| *known == name);
        named.map(|(scope, _)| *scope).ok_or_else(|| {
            let names: Vec<_> = NAMES.iter().map(|(_, name)| *name).collect();
            format!("there is no such scope; there are {}", names.join(", "))
        })
    }
}

/// What a caller may do, all together.
///
/// ```
/// use webhooks_server::{Role, Scope, Scopes};
///
/// let sender = Scopes::from_iter([Scope::EventsSend]);
/// assert!(sender.are_among(Role::Operator.scopes()));
/// assert!(!sender.are_among(Role::Viewer.scopes()));
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Vec<Scope>", into = "Vec<Scope>")]
pub struct Scopes(u32);

impl Scopes {
    /// Every scope that a caller of one tenant can have.
    #[must_use]
    pub fn of_tenants() -> Self {
        Self::from_iter([
            Scope::EventsSend,
            Scope::EventsRead,
            Scope::PayloadsRead,
            Scope::EndpointsRead,
            Scope::EndpointsWrite,
            Scope::EndpointsSecrets,
            Scope::DeliveriesRead,
            Scope::DeliveriesWrite,
            Scope::EventTypesRead,
            Scope::MetricsRead,
        ])
    }

    /// Whether this scope is among them.
    #[must_use]
    pub const fn contains(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    /// Whether all of these are among `others`.
    #[must_use]
    pub const fn are_among(self, others: Self) -> bool {
        self.0 & !others.0 == 0
    }

    /// Those that are among both.
    #[must_use]
    pub const fn and(self, others: Self) -> Self {
        Self(self.0 & others.0)
    }

    /// Refuses what needs this scope, if it is not among them.
    pub(crate) fn need(self, scope: Scope) -> Result<(), Problem> {
        match self.contains(scope) {
            true => Ok(()),
            false => Err(Problem::scope_missing(scope.as_str())),
        }
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | scope.bit()))
    }
}

impl From<Vec<Scope>> for Scopes {
    fn from(scopes: Vec<Scope>) -> Self {
        Self::from_iter(scopes)
    }
}

impl From<Scopes> for Vec<Scope> {
    fn from(scopes: Scopes) -> Self {
        Scope::all()
            .filter(|scope| scopes.contains(*scope))
            .collect()
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Vec::from(*self).into_iter().map(Scope::as_str);
        f.debug_set().entries(names).finish()
    }
}

/// Scopes that go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Role {
    /// Sees everything but payloads.
    Viewer,
    /// A viewer who also sees payloads, and cancels, resends and replays deliveries.
    Support,
    /// Does everything with endpoints, deliveries and event types.
    Operator,
    /// Does everything.
    Admin,
}

impl Role {
    /// What this role may do.
    ///
    /// Each role has all that the one before it has:
    ///
    /// ```
    /// use webhooks_server::Role;
    ///
    /// let ranks = [Role::Viewer, Role::Support, Role::Operator, Role::Admin];
    /// for pair in ranks.windows(2) {
    ///     assert!(pair[0].scopes().are_among(pair[1].scopes()));
    /// }
    /// ```
    #[must_use]
    pub fn scopes(self) -> Scopes {
        use Scope as S;
        let viewer = [
            S::EventsRead,
            S::EndpointsRead,
            S::DeliveriesRead,
            S::EventTypesRead,
            S::MetricsRead,
            S::AuditRead,
        ];
        let support = [S::PayloadsRead, S::DeliveriesWrite];
        let operator = [
            S::EventsSend,
            S::EndpointsWrite,
            S::EndpointsSecrets,
            S::DeliveriesPurge,
            S::EventTypesWrite,
        ];
        let viewer = viewer.into_iter();
        match self {
            Self::Viewer => viewer.collect(),
            Self::Support => viewer.chain(support).collect(),
            Self::Operator => viewer.chain(support).chain(operator).collect(),
            Self::Admin => Scope::all().collect(),
        }
    }
}
