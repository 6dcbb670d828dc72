//! Every operation once: who may do it is checked here, and it is written down who did it.
//!
//! Whatever surface there is calls these; none of them names the system itself.

mod audit;
mod catalogue;
mod catalogue_document;
mod dead_letters;
mod deliveries;
mod delivery_filter;
mod doctor;
mod endpoints;
mod event_type;
mod event_types;
mod events;
mod exports;
mod gate_state;
mod health;
mod job;
mod job_runner;
mod jobs;
mod keys;
mod listening;
mod notice_ring;
mod numbers;
mod operations;
mod schema;
mod search;
mod shared;
mod tenants;
mod time;

pub(crate) use self::audit::{Action, AuditEntry};
pub(crate) use self::catalogue::{EventTypeFilter, Import};
pub(crate) use self::delivery_filter::DeliveryFilter;
pub(crate) use self::doctor::Check;
pub(crate) use self::endpoints::{EndpointFilter, EndpointTest, GateAction};
pub(crate) use self::event_type::{EventTypeDefinition, EventTypeEntry, Validate, VisibleTo};
pub(crate) use self::events::{Sending, Sent};
pub(crate) use self::exports::Export;
pub(crate) use self::gate_state::GateState;
pub(crate) use self::health::EndpointHealth;
pub(crate) use self::job::{Job, JobAction, JobState};
pub(crate) use self::job_runner::JobRunner;
pub(crate) use self::jobs::{JobRequest, Matched, is_seen};
pub(crate) use self::keys::{KeyChange, ShownKey};
pub(crate) use self::listening::{Heard, Listener, NoticeFilter};
pub(crate) use self::notice_ring::Told;
pub(crate) use self::operations::{Ops, OpsParts};
pub(crate) use self::search::DataFilter;
pub(crate) use self::time::time;
