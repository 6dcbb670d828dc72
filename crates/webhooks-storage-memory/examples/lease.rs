//! One delivery through the storage by hand, from stored to delivered:
//! `cargo run -p webhooks-storage-memory --example lease`.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::Arc;

use webhooks_core::storage::WebhookStorage;
use webhooks_core::storage::spi::{Claim, NewDelivery, NewEvent, SettleAs, Settlement};
use webhooks_core::{
    DeliveryId, EventType, Priority, Result, WebhookEndpoint, WebhookEvent, WorkerId,
};
use webhooks_storage_memory::MemoryStorage;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let (storage, worker) = (MemoryStorage::new(), WorkerId::unique());
    storage
        .save_endpoint(&WebhookEndpoint {
            id: "endpoint_1".to_string(),
            ..Default::default()
        })
        .await?;

    let now = storage.beat(Some(&worker), None).await?.now;
    let event = WebhookEvent::new(EventType::new("user.created")?, None, "data", 1_024, now)?;
    let event = NewEvent {
        event: Arc::new(event),
        priority: Priority::Normal,
        due_at: now,
        max_retries: 3,
        idempotency_key: None,
        fingerprint: None,
        keep: true,
        deliveries: vec![NewDelivery {
            id: DeliveryId::new(now),
            endpoint_id: "endpoint_1".into(),
            incarnation: None,
            by_name: true,
            order: None,
            lease: false,
        }],
    };
    storage.enqueue(&[event], None, now).await?;

    let claim = Claim {
        worker: &worker,
        now,
        limit: 10,
        per_endpoint: 10,
        room: &[],
        poison_suspects: 1,
        rate_limit: None,
    };
    for delivery in storage.claim(&claim).await?.deliveries {
        println!("{} is leased to {worker:?}", delivery.id);
        let settlement = Settlement {
            delivery_id: delivery.id,
            endpoint_id: delivery.endpoint_id,
            token: delivery.lease.map_or(0, |lease| lease.token),
            settle_as: SettleAs::Delivered,
            attempt: None,
        };
        storage.settle(&worker, &[settlement], now).await?;
    }
    println!("{:?}", storage.counts(None).await?);
    Ok(())
}
