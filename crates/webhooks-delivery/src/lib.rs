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

mod answer;
mod attempt;
mod claimer;
mod classify;
mod clock;
mod committer;
mod connection;
mod directory;
mod dispatcher;
mod engine;
mod fan_out;
mod file_limit;
mod gating;
mod hand;
mod header_room;
mod heartbeat;
mod http_date;
mod identity;
mod idle_pool;
mod lane;
mod leases;
mod left_running;
mod load;
mod lost_claims;
mod metrics;
mod moment;
mod network;
mod no_answer;
mod notice;
mod outbox;
mod outgoing;
mod parked;
mod parts;
mod pipeline;
mod prepared;
mod pulse;
mod queue;
mod recorder;
mod release;
mod reservation;
mod retry_after;
mod retrying;
mod room;
mod scarcity;
mod seat;
mod sender;
mod settings;
mod slots;
mod suspect_place;
mod tenant_share;
mod tls;
mod turns;
mod verification;

pub use self::engine::{DeliveryEngine, DeliveryEngineBuilder};
pub use self::metrics::{AttemptMetrics, EndpointMetrics, Metrics, RefusedMetrics};
pub use self::network::{NetworkPolicy, ProxyConfig, Resolve, SystemResolver};
pub use self::notice::{AttemptedDelivery, Notice, NoticeStream};
pub use self::outgoing::{Outgoing, Sent};
pub use self::pipeline::Pipeline;
pub use self::queue::WebhookQueue;
pub use self::retry_after::parse_retry_after;
pub use self::settings::Settings;
pub use self::tls::TlsOptions;
