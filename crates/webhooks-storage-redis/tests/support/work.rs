//! Endpoints, events and outcomes to work with.

use std::sync::Arc;

use bytes::Bytes;
use webhooks_core::storage::{Claim, NewDelivery, NewEvent, SettleAs, Settlement, WebhookStorage};
use webhooks_core::{
    DeliveryId, EventId, EventType, Priority, Timestamp, WebhookDelivery, WebhookEndpoint,
    WebhookEvent, WorkerId,
};

pub fn endpoint(id: &str) -> WebhookEndpoint {
    WebhookEndpoint {
        id: id.into(),
        url: "https://example.com/".into(),
        secret: "not a real secret".into(),
        events: vec!["*".into()],
        ..WebhookEndpoint::default()
    }
}

/// An event with one delivery to each of these endpoints.
pub fn event(endpoints: &[&str], now: Timestamp) -> NewEvent {
    let delivery = |id: &&str| NewDelivery {
        id: DeliveryId::new(now),
        endpoint_id: (*id).into(),
        incarnation: None,
        by_name: false,
        lease: false,
    };
    NewEvent {
        event: Arc::new(WebhookEvent {
            id: EventId::new(now),
            event_type: EventType::new("user.created").unwrap(),
            tenant: None,
            payload: Bytes::from_static(b"{\"data\":{\"user_id\":\"123\"}}"),
            created_at: now,
        }),
        priority: Priority::Normal,
        due_at: now,
        max_retries: 3,
        idempotency_key: None,
        deliveries: endpoints.iter().map(delivery).collect(),
    }
}

pub fn claim(worker: &WorkerId, now: Timestamp, limit: usize) -> Claim<'_> {
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

pub fn settlement(of: &WebhookDelivery, settle_as: SettleAs) -> Settlement {
    Settlement {
        delivery_id: of.id,
        endpoint_id: of.endpoint_id.clone(),
        token: of.lease.as_ref().unwrap().token,
        settle_as,
        attempt: None,
    }
}

/// The storage's time.
pub async fn now(storage: &dyn WebhookStorage) -> Timestamp {
    storage.beat(None, None).await.unwrap().now
}
