//! What a system of better-auth-webhooks does, as metrics.
//!
//! [`Telemetry`] is an observer of the system: it counts what it is told and writes it down in the text
//! format of OpenMetrics, for a scrape by Prometheus. It opens no port, does no I/O and starts no task:
//! the service that embeds the system serves the text on a route of its own.
//!
//! No label tells of an endpoint, a tenant or a type of event unless that is asked for
//! ([`EndpointLabels`]), so that the number of series does not grow with customers. All metrics are
//! listed in `docs/operations.md`.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod builder;
mod endpoint_labels;
mod endpoint_series;
mod gauges;
mod http_server;
mod instruments;
mod labels;
mod telemetry;

pub use self::builder::TelemetryBuilder;
pub use self::endpoint_labels::EndpointLabels;
pub use self::http_server::AuthFailure;
pub use self::telemetry::{CONTENT_TYPE, Telemetry};

/// Runs the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
