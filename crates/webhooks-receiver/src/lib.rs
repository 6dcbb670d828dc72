//! Verifies and parses incoming webhooks.
//!
//! What a consumer depends on alone: without its features this crate has no runtime, no HTTP client
//! and no server. It promises that nothing is parsed before its signature is checked, that every
//! secret meets every presented signature in constant time, and that no secret and no payload
//! reaches a message, a log or `Debug`.
//!
//! ```
//! use http::HeaderMap;
//! use webhooks_receiver::{Claim, ReceiveError, SeenEvents, WebhookReceiver};
//!
//! fn handle(
//!     receiver: &WebhookReceiver,
//!     seen: &SeenEvents,
//!     headers: &HeaderMap,
//!     body: &[u8],
//! ) -> Result<(), ReceiveError> {
//!     let webhook = receiver.receive(headers, body)?;
//!     for event in webhook.into_events() {
//!         if let Claim::New(claim) = seen.claim(&event.id) {
//!             // Do the work, then keep the claim; dropped before, the event may come again.
//!             claim.commit();
//!         }
//!     }
//!     Ok(())
//! }
//! # let receiver = WebhookReceiver::new("secret");
//! # let refused = handle(&receiver, &SeenEvents::default(), &HeaderMap::new(), b"{}");
//! # assert_eq!(refused.unwrap_err().status(), http::StatusCode::UNAUTHORIZED);
//! ```
//!
//! | feature | what it adds |
//! |---|---|
//! | `tower` | `VerifyWebhookLayer`, which lets only verified requests through |
//! | `axum` | `VerifiedWebhook`, an extractor |
//! | `ed25519` | verifying with public keys: `v1a` of Standard Webhooks |

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "axum")]
mod axum;
mod clock;
mod incoming;
mod lossy_value;
mod object;
mod presented;
mod raw_webhook;
mod receive_error;
mod receiver;
#[cfg(any(feature = "tower", feature = "axum"))]
mod request;
mod seen_events;
mod seen_store;
mod signature_error;
mod signatures;
mod standard_headers;
mod timestamped_header;
#[cfg(feature = "tower")]
mod tower;

#[cfg(feature = "axum")]
pub use self::axum::VerifiedWebhook;
pub use self::incoming::IncomingWebhook;
pub use self::raw_webhook::RawWebhook;
pub use self::receive_error::ReceiveError;
pub use self::receiver::{DEFAULT_MAX_BODY, DEFAULT_TOLERANCE, WebhookReceiver};
pub use self::seen_events::{SeenEvents, SeenGuard};
pub use self::seen_store::{Claim, SeenStore};
pub use self::signature_error::SignatureError;
#[cfg(feature = "tower")]
pub use self::tower::{VerifyWebhook, VerifyWebhookLayer};
#[cfg(feature = "ed25519")]
pub use webhooks_core::Ed25519PublicKey;
pub use webhooks_core::{Result, WebhookError};

/// Runs the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
