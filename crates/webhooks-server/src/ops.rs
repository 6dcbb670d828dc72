//! Every operation once: who may do it is checked here, and it is written down who did it.
//!
//! Whatever surface there is calls these; none of them names the system itself.

mod audit;
mod dead_letters;
mod deliveries;
mod endpoints;
mod events;
mod keys;
mod numbers;
mod operations;

pub(crate) use self::audit::{Action, AuditEntry};
pub(crate) use self::endpoints::{EndpointFilter, EndpointTest, GateAction};
pub(crate) use self::keys::{KeyChange, ShownKey};
pub(crate) use self::operations::Ops;
