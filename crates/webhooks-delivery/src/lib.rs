//! Sends webhooks: the pipeline of one process, and the engine that makes its requests.
//!
//! Data flows one way: an event is stored with its deliveries ([`Pipeline::send`]), a claim brings
//! them into the lane of their endpoint, the scheduler starts their requests in turn, the engine
//! sends them behind the network guard, and what came of them is stored.
//!
//! | what | where |
//! |---|---|
//! | the whole of it | [`Pipeline`], [`Settings`], [`Notice`] |
//! | one request | [`DeliveryEngine`], [`NetworkPolicy`], [`ProxyConfig`], [`Resolve`], [`TlsOptions`] |
//! | the queue by hand | [`WebhookQueue`] |

#![cfg_attr(docsrs, feature(doc_cfg))]

mod http;
mod lock;
mod metrics;
mod notice;
mod observer;
mod one_or_more;
mod outgoing;
mod pipeline;
mod queue;
mod runtime;
mod schedule;
mod settings;
#[cfg(test)]
mod simulation;
mod tasks;
mod verification;

pub use self::http::{
    DeliveryEngine, DeliveryEngineBuilder, NetworkPolicy, ProxyConfig, Resolve, SystemResolver,
    TlsOptions, parse_retry_after,
};
pub use self::metrics::{AttemptMetrics, EndpointMetrics, Metrics, RefusedMetrics};
pub use self::notice::{Notice, NoticedDelivery};
pub use self::outgoing::Sent;
pub use self::pipeline::Pipeline;
pub use self::queue::WebhookQueue;
pub use self::runtime::NoticeStream;
pub use self::settings::Settings;

/// Runs the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
