//! The commands that speak the API, one file for each kind of thing.
//!
//! Each makes requests of its arguments and names what is shown of the answers; [`endpoints`] is the model.

mod check;
mod dead_letters;
mod deliveries;
mod delivery_filter;
mod endpoints;
mod event_types;
mod events;
mod info;
mod job;
mod jobs;
mod keys;
mod reencrypt;
mod send;
mod stats;

pub(crate) use self::check::Check;
pub(crate) use self::dead_letters::DeadLetters;
pub(crate) use self::deliveries::Deliveries;
pub(crate) use self::endpoints::Endpoints;
pub(crate) use self::event_types::EventTypes;
pub(crate) use self::events::Events;
pub(crate) use self::info::Info;
pub(crate) use self::jobs::Jobs;
pub(crate) use self::keys::Keys;
pub(crate) use self::reencrypt::Reencrypt;
pub(crate) use self::send::Send;
pub(crate) use self::stats::Stats;
