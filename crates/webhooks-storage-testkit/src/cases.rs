//! One file per topic; the list that makes tests of them is in `runner.rs`.
//!
//! A case is a sentence that holds for every storage, named so, and takes a bench with an empty
//! storage. Its doc says which harm the rule keeps away.

pub(crate) mod batches;
pub(crate) mod beat;
pub(crate) mod change;
pub(crate) mod claim;
pub(crate) mod counts;
pub(crate) mod credentials;
pub(crate) mod deliveries;
pub(crate) mod endpoints;
pub(crate) mod enqueue;
pub(crate) mod fan_outs;
pub(crate) mod gates;
pub(crate) mod incarnations;
pub(crate) mod poison_suspects;
pub(crate) mod random;
pub(crate) mod settle;
pub(crate) mod sweep;
pub(crate) mod wait;
