//! Runs the scheduler on Tokio: what asks the storage, makes requests and keeps the time.

mod attempt;
mod claimer;
mod committer;
mod driver;
mod endpoint_reader;
mod fan_out;
mod identity;
mod lost_leases;
mod moment;
mod notices;
mod outbox;
mod parked;
mod parts;
mod recorder;
mod recording;
mod retrying;
mod sender;
mod storage_clock;
mod upkeep;
mod worker;

pub(crate) use self::attempt::Requests;
pub(crate) use self::claimer::Claimer;
pub(crate) use self::committer::Committer;
pub(crate) use self::driver::Driver;
pub(crate) use self::endpoint_reader::EndpointReader;
pub(crate) use self::fan_out::FanOuts;
pub(crate) use self::lost_leases::LostLeases;
pub use self::notices::NoticeStream;
pub(crate) use self::notices::Notices;
pub(crate) use self::outbox::Outbox;
pub(crate) use self::recorder::Recorder;
pub(crate) use self::recording::Recording;
pub(crate) use self::sender::Sender;
pub(crate) use self::storage_clock::StorageClock;
pub(crate) use self::upkeep::{Upkeep, keep_sweeping, keep_ticking};
pub(crate) use self::worker::Worker;
