//! The types, rules and seams of the better-auth-webhooks system.
//!
//! Everything here is a value or a pure function of its arguments: this crate never does I/O, never
//! reads a clock and needs no runtime. (What makes keys and nonces asks the operating system for
//! random bytes, with the feature `random`.) Storage authors depend on it alone.
//!
//! | what | where |
//! |---|---|
//! | where events go | [`WebhookEndpoint`], [`EventFilter`], [`FilterIndex`], [`ContentFilter`] |
//! | what is sent | [`WebhookEvent`], [`SendOptions`], [`envelope()`], [`batch_envelope`], [`check_data`] |
//! | how it is signed | [`SignatureGenerator`], [`SigningKey`], [`StandardSigner`] |
//! | how it is kept | [`WebhookEndpoint`]; with the feature `encryption`, `EncryptionKeys` and `Sealed` |
//! | what becomes of it | [`WebhookDelivery`], [`DeliveryResult`], [`RetryStrategy`] |
//! | the seams | [`storage::WebhookStorage`] with [`storage::spi`], [`Admission`], [`Transport`], [`Clock`], [`Observe`] |

#![cfg_attr(docsrs, feature(doc_cfg))]

mod admission;
mod batch;
mod circuit;
mod clock;
mod content_filter;
mod delivery;
#[cfg(feature = "ed25519")]
mod ed25519;
#[cfg(feature = "encryption")]
mod encryption;
mod endpoint;
mod endpoint_rule;
mod envelope;
mod error;
mod event;
mod event_content;
mod event_type;
mod field_rule;
mod filter;
mod filter_index;
mod header_rule;
mod id;
mod json_rule;
mod json_tree;
mod kept_endpoint;
mod named;
mod observe;
mod order;
mod outcome;
mod priority;
mod random;
mod rate_limit;
mod retry;
#[cfg(feature = "encryption")]
mod sealed;
mod secret;
mod send_options;
mod shown;
mod signature;
mod standard_webhooks;
pub mod storage;
mod text_rule;
mod timestamp;
mod trace_context;
mod trace_propagation;
mod transport;
mod whole;

pub use self::admission::{Admission, AdmissionDecision, HeldBy, Permit, Verdict};
pub use self::batch::BatchConfig;
pub use self::circuit::{Circuit, CircuitBreakerConfig, CircuitState};
pub use self::clock::Clock;
pub use self::content_filter::ContentFilter;
pub use self::delivery::{CancelReason, DeadReason, DeliveryState, Lease, WebhookDelivery};
#[cfg(feature = "ed25519")]
pub use self::ed25519::{Ed25519Key, Ed25519PublicKey, PUBLIC_KEY_PREFIX};
#[cfg(feature = "encryption")]
pub use self::encryption::EncryptionKeys;
pub use self::endpoint::{PreviousSecret, SignatureScheme, WebhookEndpoint};
pub use self::endpoint_rule::{MAX_TIMEOUT_SECONDS, MAX_URL};
pub use self::envelope::{
    ENVELOPE_VERSION, batch_envelope, check_envelope_bytes, committed_envelope, envelope,
    envelope_data,
};
pub use self::error::{Detail, Result, WebhookError};
pub use self::event::WebhookEvent;
pub use self::event_content::EventContent;
pub use self::event_type::{BATCH_EVENT, EventType, MAX_EVENT_TYPE, PING_EVENT};
pub use self::field_rule::ENCRYPTED_PREFIX;
pub use self::filter::EventFilter;
pub use self::filter_index::FilterIndex;
pub use self::id::{DeliveryId, EventId, WorkerId};
pub use self::json_rule::{MAX_DATA_DEPTH, check_data};
pub use self::kept_endpoint::KeptEndpoint;
pub use self::observe::{
    AttemptEnd, AttemptInfo, ClusterSnapshot, DeliveryEnd, EndedInfo, EndpointStates, Happening,
    Observe, ProcessSnapshot, SentInfo, SentOutcome, Snapshot, StorageCall, StorageCallEnd,
};
pub use self::order::{DeliveryOrder, OnDead, OrderBy};
pub use self::outcome::{AttemptRecord, DeliveryResult, FailureKind, Outcome};
pub use self::priority::Priority;
#[cfg(feature = "random")]
pub use self::random::random_bytes;
pub use self::random::unique_number;
pub use self::rate_limit::RateLimitConfig;
pub use self::retry::RetryStrategy;
#[cfg(feature = "encryption")]
pub use self::sealed::{Reencrypted, Sealed};
pub use self::secret::{PRIVATE_KEY_PREFIX, Secret};
pub use self::send_options::SendOptions;
pub use self::signature::{
    SIGNATURE_HEADER, SignatureGenerator, SigningKey, decode_hex, signature_header,
    write_signature_header,
};
#[cfg(feature = "random")]
pub use self::standard_webhooks::generate_secret;
pub use self::standard_webhooks::{
    STANDARD_ID_HEADER, STANDARD_SIGNATURE_HEADER, STANDARD_TIMESTAMP_HEADER, StandardKey,
    StandardSigner, standard_secret,
};
pub use self::text_rule::{MAX_DELAY, MAX_NAME, check_endpoint_id};
pub use self::timestamp::Timestamp;
pub use self::trace_context::TraceContext;
pub use self::trace_propagation::TracePropagation;
pub use self::transport::{Attempt, Transport};

/// Runs the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
