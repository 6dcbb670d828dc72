//! Runs the scheduler on Tokio: what asks the storage, makes requests and keeps the time.
//!
//! One task each commits, records, beats, ticks, sweeps, empties the outbox, goes on with fan-outs
//! and looks for lost leases; `workers` tasks claim, and each request runs in a task that takes
//! over the next one. They meet in the [`Driver`] alone: what one of them learns reaches the others
//! as an input of the scheduler and a command that follows from it.
//!
//! Decisions are not made here. A task that fails tries again for as long as the process lives, and
//! none of them holds a delivery that the scheduler does not know of.

mod attempt;
mod claimer;
mod cluster;
mod commit_size;
mod committer;
mod driver;
mod endpoint_reader;
mod fan_out;
mod identity;
mod lost_leases;
mod moment;
mod notices;
mod observed_attempt;
mod observed_storage;
mod outbox;
mod parked;
mod parts;
mod recorder;
mod recording;
mod rematch;
mod retrying;
mod sender;
mod statistics;
mod storage_clock;
mod told;
mod upkeep;
mod worker;

pub(crate) use self::attempt::Requests;
pub(crate) use self::claimer::Claimer;
pub(crate) use self::cluster::Cluster;
pub(crate) use self::committer::Committer;
pub(crate) use self::driver::Driver;
pub(crate) use self::endpoint_reader::EndpointReader;
pub(crate) use self::fan_out::FanOuts;
pub(crate) use self::lost_leases::LostLeases;
pub use self::notices::NoticeStream;
pub(crate) use self::observed_storage::ObservedStorage;
pub(crate) use self::outbox::Outbox;
#[cfg(test)]
pub(crate) use self::parts::Parts;
pub(crate) use self::recorder::Recorder;
pub(crate) use self::recording::Recording;
pub(crate) use self::sender::Sender;
pub(crate) use self::statistics::Statistics;
pub(crate) use self::storage_clock::StorageClock;
pub(crate) use self::upkeep::{Upkeep, keep_sweeping, keep_ticking};
pub(crate) use self::worker::Worker;
