//! What holds for several processes on one storage: systems of their own, on each storage, with real
//! receivers.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test may panic in its helpers too"
)]

mod content_filters;
mod definitions;
mod event_data;
mod events;
mod fan_outs;
mod health;
mod incarnations;
mod new_endpoints;
mod orders;
mod outbox;
mod place;
mod poison_suspects;
mod replays;
mod texts;
