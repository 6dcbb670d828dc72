//! One request: from an endpoint and a body to what came of it.
//!
//! The [engine](DeliveryEngine) signs what was [prepared](prepared) once for the endpoint, sends it
//! on a [connection](connection) that the [network guard](network) let through, reads the
//! [response], and says what it [means](classify). Nothing here knows of queues, leases or
//! retries.

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

pub use self::engine::{DeliveryEngine, DeliveryEngineBuilder};
pub use self::network::{NetworkPolicy, ProxyConfig, Resolve, SystemResolver};
pub use self::retry_after::parse_retry_after;
pub use self::tls::TlsOptions;
