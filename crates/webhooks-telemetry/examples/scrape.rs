//! Prints what a scrape of a small system gets: `cargo run -p webhooks-telemetry --example scrape`.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::Arc;
use std::time::Duration;

use better_auth_webhooks::storage::MemoryStorage;
use better_auth_webhooks::{WebhookEndpoint, WebhookError, WebhookSystem};
use webhooks_telemetry::{EndpointLabels, Telemetry};
use webhooks_testing::ScriptedTransport;

#[tokio::main]
async fn main() -> Result<(), WebhookError> {
    let telemetry = Telemetry::builder()
        .storage("memory")
        .endpoint_labels(EndpointLabels::TopN(10));
    let telemetry = Arc::new(telemetry.build());
    let system = WebhookSystem::builder()
        .transport(ScriptedTransport::new())
        .observe(telemetry.clone())
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
    system.send_webhook("user.created", "data").await?;
    system.drain(Duration::from_secs(10)).await?;

    // What a server in front of the system tells.
    let took = Duration::from_millis(2);
    telemetry.request_answered("POST", Some("/api/v1/events"), 202, took);

    let mut text = String::new();
    telemetry.encode_with(&system.snapshot().await?, &mut text);
    print!("{text}");
    system.shutdown(Duration::from_secs(1)).await?;
    Ok(())
}
