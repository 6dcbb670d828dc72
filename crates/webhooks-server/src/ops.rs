//! Every operation once: who may do it is checked here, and it is written down who did it.
//!
//! Whatever surface there is calls these; none of them names the system itself.

mod audit;
mod dead_letters;
mod deliveries;
mod delivery_filter;
mod doctor;
mod endpoints;
mod events;
mod exports;
mod job;
mod job_runner;
mod jobs;
mod keys;
mod listening;
mod notice_ring;
mod numbers;
mod operations;
mod search;
mod shared;
mod time;

pub(crate) use self::audit::{Action, AuditEntry};
pub(crate) use self::delivery_filter::DeliveryFilter;
pub(crate) use self::doctor::Check;
pub(crate) use self::endpoints::{EndpointFilter, EndpointTest, GateAction};
pub(crate) use self::exports::Export;
pub(crate) use self::job::{Job, JobAction, JobState};
pub(crate) use self::job_runner::JobRunner;
pub(crate) use self::jobs::{JobRequest, Matched, is_seen};
pub(crate) use self::keys::{KeyChange, ShownKey};
pub(crate) use self::listening::{Heard, Listener, NoticeFilter};
pub(crate) use self::notice_ring::Told;
pub(crate) use self::operations::Ops;
pub(crate) use self::search::DataFilter;
pub(crate) use self::time::time;
