//! What to do next: a machine that is told what happens and answers with commands.
//!
//! Nothing here waits, locks, reads a clock or does I/O, so that a simulator can drive it through
//! whatever may happen, in any order. `runtime/` drives it in production.
//!
//! Guarantees, whatever the order of inputs: each delivery that an answer of the storage brought
//! stands in a lane, in a request or in an entry until its settlement is stored, and is settled
//! once; no request starts without a slot, a valid lease window and the permit of admission, nor
//! beyond a bound of [`Settings`](crate::Settings).
//!
//! An input is a method of [`Scheduler`], and what follows from it comes out as [`Command`]s and
//! entries. So a fault of the storage or the network is one more input, and not a special case of
//! the code here.

#[cfg(test)]
mod audit;
mod candidates;
mod carried;
mod claiming;
mod claims;
mod command;
mod consequences;
mod directory;
mod ending;
mod endpoints;
mod health;
mod held_leases;
mod hold;
mod in_flight;
mod kind;
mod known_leases;
mod lane;
mod lane_id;
mod lanes;
mod lease_window;
mod left_running;
mod now;
mod outcome;
mod pace;
mod poison_suspect;
mod recipient;
mod scheduler;
mod sending;
mod settling;
mod slots;
mod starting;
mod stats;
mod tenants;
mod turns;
#[cfg(test)]
mod view;
mod waiting;

#[cfg(test)]
pub(crate) use self::audit::Outside;
pub(crate) use self::candidates::Candidates;
pub(crate) use self::carried::Content;
pub(crate) use self::claiming::{AfterClaim, ClaimRequest};
pub(crate) use self::command::{Command, Entry, Request};
pub(crate) use self::known_leases::{LeaseKey, key};
pub(crate) use self::lane_id::LaneId;
#[cfg(test)]
pub(crate) use self::lane_id::RequestId;
pub(crate) use self::now::Now;
pub(crate) use self::outcome::settle_as;
pub(crate) use self::recipient::Recipient;
pub(crate) use self::scheduler::Scheduler;
pub(crate) use self::sending::{Place, Stored};
pub(crate) use self::settling::Written;
#[cfg(test)]
pub(crate) use self::view::{LaneView, Leased};
