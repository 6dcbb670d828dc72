//! A whole storage: lists behind a lock.
//!
//! It is written from `docs/storage-contract.md` alone, passes the published suite, and looks
//! through everything it holds on every call: a place to start from, not one to stay at.

mod storage;

use better_auth_webhooks::{Result, WebhookEndpoint, WebhookSystem};
use serde_json::json;

use self::storage::ListStorage;

#[tokio::main]
async fn main() -> Result<()> {
    // With no workers the system only stores what is sent, for other processes to deliver.
    let system = WebhookSystem::builder()
        .workers(0)
        .build(ListStorage::new());
    system
        .register_endpoint(WebhookEndpoint {
            id: "endpoint_1".into(),
            url: "https://api.example.com/webhooks".into(),
            secret: "webhook_secret".into(),
            events: vec!["*".into()],
            ..WebhookEndpoint::default()
        })
        .await?;
    system
        .send_webhook("user.created", json!({ "user_id": "123" }))
        .await?;
    assert_eq!(system.get_metrics().await?.counts.ready, 1);
    Ok(())
}
