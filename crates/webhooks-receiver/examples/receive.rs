//! Verifies, parses and handles a webhook with nothing but this crate.
//!
//! ```text
//! cargo run -p webhooks-receiver --example receive
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::Duration;

use http::HeaderMap;
use webhooks_core::{SigningKey, signature_header};
use webhooks_receiver::{Claim, ReceiveError, SeenEvents, WebhookReceiver};

fn main() -> Result<(), Box<dyn Error>> {
    // What a server hands over: the headers and the raw bytes of the body.
    let body = br#"{"id":"webhook_1","event":"user.created","timestamp":"2024-01-01T12:00:00.000Z",
        "data":{"user_id":"123"},"version":"1.0"}"#;
    let signature = signature_header([&SigningKey::new(b"secret")], 1_704_110_400, body);
    let headers = HeaderMap::from_iter([(
        http::HeaderName::from_static("x-webhook-signature"),
        signature.parse()?,
    )]);

    // The request of this example is old; leave the tolerance at its five minutes.
    let receiver = WebhookReceiver::new("secret").with_tolerance(Duration::MAX);
    let seen = SeenEvents::default();
    for attempt in ["first attempt", "second attempt"] {
        let status = handle(&receiver, &seen, &headers, body);
        println!("{attempt}: {status}");
    }
    println!("forged: {}", handle(&receiver, &seen, &headers, b"{}"));
    Ok(())
}

fn handle(
    receiver: &WebhookReceiver,
    seen: &SeenEvents,
    headers: &HeaderMap,
    body: &[u8],
) -> http::StatusCode {
    let webhook = match receiver.receive(headers, body) {
        Ok(webhook) => webhook,
        Err(error) => {
            if let ReceiveError::Signature(reason) = &error {
                println!("refused: {}", reason.code());
            }
            return error.status();
        }
    };
    for event in webhook.into_events() {
        match seen.claim(&event.id) {
            Claim::New(claim) => {
                println!("{} {}: {}", event.event, event.id, event.data);
                claim.commit();
            }
            Claim::InProgress => return http::StatusCode::CONFLICT,
            Claim::Done => println!("{} was handled before", event.id),
        }
    }
    http::StatusCode::NO_CONTENT
}
