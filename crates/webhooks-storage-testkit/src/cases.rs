//! One file per topic; the list that makes tests of them is in `runner.rs`.
//!
//! A case is a sentence that holds for every storage, named so, and takes a bench with an empty
//! storage. Its doc says which harm the rule keeps away.

pub(crate) mod batches;
pub(crate) mod beat;
pub(crate) mod change;
pub(crate) mod claim;
pub(crate) mod content_filters;
pub(crate) mod counting;
pub(crate) mod counts;
pub(crate) mod credentials;
pub(crate) mod definitions;
pub(crate) mod deliver_events;
pub(crate) mod deliveries;
pub(crate) mod documents;
pub(crate) mod endpoints;
pub(crate) mod enqueue;
pub(crate) mod events;
pub(crate) mod fan_outs;
pub(crate) mod gates;
pub(crate) mod incarnations;
pub(crate) mod keys;
pub(crate) mod orders;
pub(crate) mod orders_side_by_side;
pub(crate) mod poison_suspects;
pub(crate) mod queries;
pub(crate) mod random;
pub(crate) mod resend;
pub(crate) mod settle;
pub(crate) mod statistics;
pub(crate) mod sweep;
pub(crate) mod wait;
pub(crate) mod workers;
