//! Events, claims and settlements for tests.

use std::sync::Arc;

use bytes::Bytes;
use webhooks_core::storage::spi::{Claim, NewDelivery, NewEvent, SettleAs, Settlement};
use webhooks_core::{
    DeliveryId, EventId, EventType, Priority, Timestamp, WebhookDelivery, WebhookEndpoint,
    WebhookEvent, WorkerId,
};

pub fn endpoint(id: &str) -> WebhookEndpoint {
    WebhookEndpoint {
        id: id.into(),
        url: "https://example.com".into(),
        secret: "hunter2".into(),
        events: vec!["*".into()],
        ..WebhookEndpoint::default()
    }
}

pub fn event(endpoint: &str, payload: &[u8], now: Timestamp) -> NewEvent {
    NewEvent {
        event: Arc::new(WebhookEvent {
            id: EventId::new(now),
            event_type: EventType::new("user.created").unwrap(),
            tenant: None,
            payload: Bytes::copy_from_slice(payload),
            created_at: now,
            ordering_key: None,
            trace: None,
        }),
        priority: Priority::Normal,
        due_at: now,
        max_retries: 3,
        idempotency_key: None,
        fingerprint: None,
        keep: true,
        deliveries: vec![NewDelivery {
            id: DeliveryId::new(now),
            endpoint_id: endpoint.into(),
            incarnation: None,
            by_name: false,
            order: None,
            lease: false,
        }],
    }
}

pub fn claim(worker: &WorkerId, limit: usize, now: Timestamp) -> Claim<'_> {
    Claim {
        worker,
        now,
        limit,
        per_endpoint: limit,
        room: &[],
        poison_suspects: 1,
        rate_limit: None,
    }
}

pub fn delivered(delivery: &WebhookDelivery) -> Settlement {
    Settlement {
        delivery_id: delivery.id,
        endpoint_id: delivery.endpoint_id.clone(),
        token: delivery.lease.as_ref().unwrap().token,
        settle_as: SettleAs::Delivered,
        attempt: None,
    }
}
