//! Sends webhooks: the pipeline of one process, and the engine that makes its requests.
//!
//! Data flows one way: an event is stored with its deliveries ([`Pipeline::send`]), a claim brings
//! them into the lane of their endpoint, the dispatcher starts their requests in turn, the engine
//! sends them behind the network guard, and what came of them is stored.
//!
//! | what | where |
//! |---|---|
//! | the whole of it | [`Pipeline`], [`Settings`], [`Notice`] |
//! | one request | [`DeliveryEngine`], [`NetworkPolicy`], [`ProxyConfig`], [`Resolve`], [`TlsOptions`] |
//! | the queue by hand | [`WebhookQueue`] |

#![cfg_attr(docsrs, feature(doc_cfg))]

mod attempt;
mod claimer;
mod clock;
mod committer;
mod directory;
mod dispatcher;
mod fan_out;
mod gating;
mod hand;
mod heartbeat;
mod http;
mod identity;
mod lane;
mod leases;
mod left_running;
mod load;
mod lock;
mod lost_claims;
mod metrics;
mod moment;
mod notice;
mod one_or_more;
mod outbox;
mod outcome;
mod outgoing;
mod parked;
mod parts;
mod pipeline;
mod pulse;
mod queue;
mod recorder;
mod release;
mod reservation;
mod retrying;
mod room;
mod seat;
mod sender;
mod settings;
mod slots;
mod suspect_place;
mod tenant_share;
mod turns;
mod verification;
mod writer;

pub use self::http::{
    DeliveryEngine, DeliveryEngineBuilder, NetworkPolicy, ProxyConfig, Resolve, SystemResolver,
    TlsOptions, parse_retry_after,
};
pub use self::metrics::{AttemptMetrics, EndpointMetrics, Metrics, RefusedMetrics};
pub use self::notice::{Notice, NoticeStream, NoticedDelivery};
pub use self::outgoing::Sent;
pub use self::pipeline::Pipeline;
pub use self::queue::WebhookQueue;
pub use self::settings::Settings;

/// Runs the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
