//! A day of retries, in a moment: `cargo run -p webhooks-testing --example retries`.
//!
//! In a test of a service, `#[tokio::test(start_paused = true)]` makes the same runtime.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use better_auth_webhooks::storage::MemoryStorage;
use better_auth_webhooks::{WebhookEndpoint, WebhookError, WebhookSystem};
use serde_json::json;
use webhooks_testing::{Reply, ScriptedTransport};

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), WebhookError> {
    // Down for the first ten attempts.
    let transport = ScriptedTransport::by(|request| {
        Reply::status(if request.attempt <= 10 { 503 } else { 200 })
    });
    let system = WebhookSystem::builder()
        .transport(transport.clone())
        .build(MemoryStorage::new());
    system
        .register_endpoint(WebhookEndpoint {
            id: "endpoint_1".to_string(),
            url: "https://api.example.com/webhooks".to_string(),
            secret: "webhook_secret".to_string(),
            events: vec!["user.*".to_string()],
            ..Default::default()
        })
        .await?;
    system
        .send_webhook("user.created", json!({ "user_id": "123" }))
        .await?;

    for request in transport.expect(11).await {
        println!("{} attempt {}", request.at, request.attempt);
    }
    Ok(())
}
