//! What the pipeline promises, under paused time and without a network.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test may panic in its helpers too"
)]

mod auto_disable;
mod batches;
mod circuit;
mod fairness;
mod filling;
mod gates;
mod identity;
mod leftovers;
mod limits;
mod order;
mod processes;
mod queue;
mod refusals;
mod remote;
mod remote_storage;
mod retries;
mod sending;
mod shares;
mod shutdown;
mod soak;
mod support;
mod untried;
