//! Tests of services that send webhooks with `better-auth-webhooks`: no socket, and no waiting.
//!
//! A [`ScriptedTransport`] takes the place of the network. It answers each request as the test says,
//! keeps it to be looked at, and takes no time but Tokio's, which a test can pause. So a schedule of
//! retries that lasts for hours runs in milliseconds.
//!
//! ```
//! use std::time::Duration;
//!
//! use better_auth_webhooks::storage::MemoryStorage;
//! use better_auth_webhooks::{WebhookEndpoint, WebhookReceiver, WebhookSystem};
//! use serde_json::json;
//! use webhooks_testing::{Reply, ScriptedTransport};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), better_auth_webhooks::WebhookError> {
//! // #[tokio::test(start_paused = true)]
//! let transport = ScriptedTransport::new();
//! let system = WebhookSystem::builder()
//!     .transport(transport.clone())
//!     .build(MemoryStorage::new());
//! system
//!     .register_endpoint(WebhookEndpoint {
//!         id: "endpoint_1".to_string(),
//!         url: "https://api.example.com/webhooks".to_string(),
//!         secret: "webhook_secret".to_string(),
//!         events: vec!["user.*".to_string()],
//!         ..Default::default()
//!     })
//!     .await?;
//!
//! transport.reply("endpoint_1", [Reply::status(503).retry_after(Duration::from_secs(3_600))]);
//! system.send_webhook("user.created", json!({ "user_id": "123" })).await?;
//!
//! let requests = transport.expect(2).await;
//! assert!(requests[1].at.since(requests[0].at) >= Duration::from_secs(3_600));
//! assert_eq!(requests[1].json()["data"], json!({ "user_id": "123" }));
//! let receiver = WebhookReceiver::new("webhook_secret");
//! let now = requests[1].at.as_secs();
//! receiver.verify_at(&requests[1].headers, &requests[1].body, now).expect("it is signed");
//! # Ok(())
//! # }
//! ```
//!
//! Time passes by itself only in a runtime of one thread whose clock is paused, as that of
//! `#[tokio::test(start_paused = true)]`: whenever all tasks wait, it goes on to the next timer.
//! `MemoryStorage` follows it.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod headers;
mod reply;
mod scripted_transport;
mod sent_request;

pub use self::reply::Reply;
pub use self::scripted_transport::ScriptedTransport;
pub use self::sent_request::SentRequest;

/// Runs the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
