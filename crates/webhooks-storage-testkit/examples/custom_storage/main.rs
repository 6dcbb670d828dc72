//! A whole storage: lists behind a lock.
//!
//! It is written from `docs/storage-contract.md` alone, passes the published suite, and looks
//! through everything it holds on every call: a place to start from, not one to stay at.

mod leases;
mod list_storage;
mod lists;
mod row;

use std::sync::Arc;

use webhooks_core::storage::{Counts, WebhookStorage};
use webhooks_core::{Result, WebhookEndpoint};

use self::list_storage::ListStorage;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    // Any storage is used through the trait, so this one could be handed to the system as it is.
    let storage: Arc<dyn WebhookStorage> = Arc::new(ListStorage::new());
    let endpoint = WebhookEndpoint {
        id: "endpoint_1".into(),
        url: "https://api.example.com/webhooks".into(),
        secret: "webhook_secret".into(),
        events: vec!["*".into()],
        ..WebhookEndpoint::default()
    };
    storage.save_endpoint(&endpoint).await?;
    let counts = storage.counts(None).await?;
    assert_eq!(counts, Counts::default());
    Ok(())
}
