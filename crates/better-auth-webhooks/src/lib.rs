//! Webhooks for Rust services: events in, signed HTTP requests out, at least once.
//!
//! A service embeds this crate: there is nothing else to run. It registers endpoints and sends
//! events; the system stores them, signs them, retries them, keeps to rate limits, leaves failing
//! endpoints alone, and keeps what is hopeless in a dead letter queue.
//!
//! ```no_run
//! use better_auth_webhooks::storage::MemoryStorage;
//! use better_auth_webhooks::{WebhookEndpoint, WebhookSystem};
//! use serde_json::json;
//!
//! # async fn example() -> Result<(), better_auth_webhooks::WebhookError> {
//! let system = WebhookSystem::new(MemoryStorage::new());
//! system
//!     .register_endpoint(WebhookEndpoint {
//!         id: "endpoint_1".to_string(),
//!         url: "https://api.example.com/webhooks".to_string(),
//!         secret: "webhook_secret".to_string(),
//!         events: vec!["user.*".to_string()],
//!         ..Default::default()
//!     })
//!     .await?;
//! system.send_webhook("user.created", json!({ "user_id": "123" })).await?;
//! # Ok(())
//! # }
//! ```
//!
//! | what | where |
//! |---|---|
//! | the system | [`WebhookSystem`], [`WebhookSystemBuilder`], [`EventBuilder`] |
//! | endpoints | [`WebhookEndpoint`] and the calls of [`WebhookSystem`] |
//! | what was given up | [`DeadLetters`] |
//! | where it is kept | [`storage`] |
//! | the other end | [`WebhookReceiver`] |

#![cfg_attr(docsrs, feature(doc_cfg))]

mod builder;
mod dead_letters;
mod deliveries;
mod endpoint_gates;
mod endpoint_lookup;
mod endpoint_rules;
mod endpoints;
mod event_builder;
mod events;
mod health;
mod looking;
mod sending;
mod shutdown;
pub mod storage;
mod system;
mod verification;

pub use webhooks_core::{
    Attempt, AttemptEnd, AttemptInfo, AttemptRecord, BatchConfig, CancelReason, Circuit,
    CircuitBreakerConfig, CircuitState, Clock, ClusterSnapshot, ContentFilter, DeadReason,
    DeliveryEnd, DeliveryId, DeliveryOrder, DeliveryResult, DeliveryState, Detail, EndedInfo,
    EndpointStates, EventContent, EventFilter, EventId, EventType, FailureKind, Happening,
    KeptEndpoint, Lease, Observe, OnDead, OrderBy, Outcome, PreviousSecret, Priority,
    ProcessSnapshot, RateLimitConfig, Result, RetryStrategy, SentInfo, SentOutcome,
    SignatureGenerator, SignatureScheme, Snapshot, StorageCall, StorageCallEnd, Timestamp,
    TraceContext, TracePropagation, Transport, Verdict, WebhookDelivery, WebhookEndpoint,
    WebhookError, WebhookEvent, WorkerId, generate_secret,
};
#[cfg(feature = "ed25519")]
pub use webhooks_core::{Ed25519Key, Ed25519PublicKey};
pub use webhooks_delivery::{
    AttemptMetrics, DeliveryEngine, DeliveryEngineBuilder, EndpointMetrics, Metrics, NetworkPolicy,
    Notice, NoticeStream, NoticedDelivery, ProxyConfig, RefusedMetrics, Resolve, Settings,
    SystemResolver, TlsOptions, WebhookQueue, parse_retry_after,
};
#[cfg(feature = "receiver")]
pub use webhooks_receiver::{
    IncomingWebhook, RawWebhook, ReceiveError, SignatureError, WebhookReceiver,
};
pub use webhooks_resilience::{CircuitBreaker, CircuitPermit, RateLimiter, SystemClock};

pub use self::builder::WebhookSystemBuilder;
pub use self::dead_letters::DeadLetters;
pub use self::event_builder::{EventBuilder, OutgoingEvent, SendReceipt};
pub use self::health::Health;
pub use self::shutdown::Shutdown;
pub use self::system::WebhookSystem;

/// What consumers use: verifies and parses what arrives.
#[cfg(feature = "receiver")]
pub use webhooks_receiver as receiver;

/// Compiles the examples of the pages that people read first.
#[cfg(all(doctest, feature = "memory"))]
mod pages {
    #[cfg(feature = "postgres")]
    #[doc = include_str!("../../../README.md")]
    struct Readme;

    #[doc = include_str!("../../../docs/operations.md")]
    struct Operations;

    #[doc = include_str!("../../../docs/content-filters.md")]
    struct ContentFilters;
}
