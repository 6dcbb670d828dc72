//! Endpoints, events and outcomes to work with.

use std::sync::Arc;

use bytes::Bytes;
use webhooks_core::storage::WebhookStorage;
use webhooks_core::storage::spi::{
    Claim, EventDelivery, NewDelivery, NewEvent, SettleAs, Settlement,
};
use webhooks_core::{
    DeliveryId, DeliveryOrder, EventId, EventType, OnDead, Priority, Timestamp, WebhookDelivery,
    WebhookEndpoint, WebhookEvent, WorkerId,
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
        order: None,
        lease: false,
    };
    NewEvent {
        event: Arc::new(WebhookEvent {
            id: EventId::new(now),
            event_type: EventType::new("user.created").unwrap(),
            tenant: None,
            payload: Bytes::from_static(b"{\"data\":{\"user_id\":\"123\"}}"),
            created_at: now,
            ordering_key: None,
            trace: None,
        }),
        priority: Priority::Normal,
        due_at: now,
        max_retries: 3,
        idempotency_key: None,
        fingerprint: None,
        keep: false,
        deliveries: endpoints.iter().map(delivery).collect(),
    }
}

/// An event for one endpoint, which goes behind those with the same key.
pub fn ordered(endpoint: &str, key: &str, on_dead: OnDead, now: Timestamp) -> NewEvent {
    let mut new = event(&[endpoint], now);
    let key: Arc<str> = key.into();
    let mut of_key = (*new.event).clone();
    of_key.ordering_key = Some(key.clone());
    new.event = of_key.into();
    for delivery in &mut new.deliveries {
        let key = key.clone();
        delivery.order = Some(DeliveryOrder { key, on_dead });
    }
    new
}

/// One more delivery of an event, with an id of its own.
pub fn further(of: EventId, endpoint: &str, now: Timestamp) -> EventDelivery {
    let mut made = event(&[endpoint], now);
    EventDelivery {
        event_id: of,
        delivery: made.deliveries.remove(0),
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
