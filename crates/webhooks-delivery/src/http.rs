//! One request: from an endpoint and a body to what came of it.
//!
//! The [engine](DeliveryEngine) signs what was [prepared](prepared) once for the endpoint, sends it
//! on a [connection](connection) that the [network guard](network) let through, reads the
//! [response], and says what it [means](classify). Nothing here knows of queues, leases or
//! retries.
//!
//! Promises: one request has one deadline, from the look-up of its name to the last byte that is
//! read of the response; it is sent again only if no byte of it was written; and what this side
//! lacks is told apart from what the endpoint did, so that the endpoint does not pay for it.

mod classify;
mod connection;
mod engine;
mod file_limit;
mod header_buffers;
mod http_date;
mod idle_pool;
mod network;
mod no_response;
mod prepared;
mod response;
mod retry_after;
mod scarcity;
mod tls;

pub use self::engine::DeliveryEngine;
pub use self::engine::builder::DeliveryEngineBuilder;
pub use self::network::{NetworkPolicy, ProxyConfig, Resolve, SystemResolver};
pub use self::retry_after::parse_retry_after;
pub use self::tls::TlsOptions;
