//! What a storage refuses for good holds up nothing that is beside or behind it.

use std::sync::Arc;

use webhooks_core::storage::WebhookStorage;
use webhooks_core::storage::spi::{FanOutPart, NewDelivery, NewEvent, OutboxEvent, PartPlace};
use webhooks_core::{DeliveryId, EventId, EventType, Priority, WebhookEndpoint, WebhookEvent};
use webhooks_delivery::Settings;
use webhooks_tests::{Call, Reply, ScriptedTransport};

use crate::remote_storage::RemoteStorage;
use crate::support::*;

/// A process on a storage that can refuse what is of an endpoint; `bad` and `good` are there.
async fn node(
    script: impl Fn(&Call) -> Reply + Send + Sync + 'static,
) -> (Node, Arc<RemoteStorage>) {
    let storage = storage();
    for id in ["bad", "good"] {
        let of_tenant = WebhookEndpoint {
            tenant: Some(id.into()),
            ..endpoint(id)
        };
        storage.save_endpoint(&of_tenant).await.unwrap();
    }
    let remote = RemoteStorage::new(&storage, millis(1));
    let transport = ScriptedTransport::new(script);
    let (way, sending) = (remote.clone(), transport.clone());
    let settings = Settings::default();
    let node = Node::over(way, &storage, sending, &transport, NEVER_OPENS, settings);
    node.pipeline.ready().await.unwrap();
    (node, remote)
}

async fn send(node: &Node, endpoint_id: &str, count: usize) {
    for _ in 0..count {
        let to = outgoing(Some(endpoint_id));
        let send = webhooks_core::SendOptions {
            tenant: Some(endpoint_id),
            ..to
        };
        node.send(&send).await.unwrap();
    }
}

async fn delivered(node: &Node, count: u64) {
    for _ in 0..200 {
        if node.counts().await.delivered == count {
            return;
        }
        tokio::time::sleep(millis(10)).await;
    }
    let counts = node.counts().await;
    assert_eq!(counts.delivered, count, "{counts:?}");
}

#[tokio::test(start_paused = true)]
async fn a_refused_settlement_holds_no_other_up_and_is_tried_again() {
    let (node, remote) = node(|_| Reply::Status(200)).await;
    remote.refuse(Some("bad"));
    send(&node, "bad", 1).await;
    send(&node, "good", 50).await;
    delivered(&node, 50).await;
    send(&node, "good", 50).await;
    delivered(&node, 100).await;
    assert!(node.pipeline.is_alive() && !node.pipeline.is_settling());
    assert_eq!(node.pipeline.refused().outcomes, 1);
    assert_eq!(node.counts().await.leased, 1, "nothing of it is lost");
    tokio::time::sleep(secs(600)).await;
    assert_eq!(
        node.transport.calls_to("bad").len(),
        1,
        "and it is not sent twice"
    );
    remote.refuse(None);
    assert!(node.drain(secs(400)).await);
    assert_eq!(node.counts().await.delivered, 101);
    assert!(node.pipeline.is_settling());
    assert_eq!(node.pipeline.refused().outcomes, 0);
    assert_eq!(node.transport.calls_to("bad").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refused_gate_holds_no_other_up() {
    let (node, remote) = node(|call| match &*call.endpoint_id {
        "bad" => Reply::Status(410),
        _ => Reply::Status(200),
    })
    .await;
    remote.refuse(Some("bad"));
    send(&node, "bad", 3).await;
    send(&node, "good", 50).await;
    delivered(&node, 50).await;
    assert!(!node.pipeline.is_settling());
    remote.refuse(None);
    tokio::time::sleep(secs(400)).await;
    let record = remote.endpoint_record("bad").await.unwrap().unwrap();
    assert!(
        !record.endpoint.enabled,
        "it was decided, and is stored in the end"
    );
    assert!(node.pipeline.is_settling());
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_missing_are_an_error_and_nothing_is_taken_for_settled() {
    let (node, remote) = node(|_| Reply::Status(200)).await;
    *remote.left_out.lock().unwrap() = 1;
    send(&node, "good", 5).await;
    tokio::time::sleep(secs(3)).await;
    assert!(!node.pipeline.is_settling());
    assert!(node.pipeline.refused().outcomes > 0);
    *remote.left_out.lock().unwrap() = 0;
    assert!(node.drain(secs(400)).await);
    assert_eq!(node.counts().await.delivered, 5);
    assert!(node.pipeline.is_settling());
}

fn event_of(node: &Node, tenant: &str) -> OutboxEvent {
    let now = node.pipeline.now();
    OutboxEvent {
        id: EventId::new(now),
        event_type: EventType::new(EVENT).unwrap(),
        tenant: Some(tenant.into()),
        data: "{}".into(),
        priority: Priority::Normal,
        created_at: now,
        due_at: now,
        max_retries: None,
        idempotency_key: None,
        ordering_key: None,
        trace: None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_event_of_the_outbox_is_set_aside_and_holds_no_other_up() {
    let (node, remote) = node(|_| Reply::Status(200)).await;
    remote.refuse(Some("bad"));
    let mut refused = Vec::new();
    for n in 0..600 {
        let event = event_of(&node, if n % 100 == 0 { "bad" } else { "good" });
        if n % 100 == 0 {
            refused.push(event.id);
        }
        remote.put_into_outbox(event);
    }
    // What is no JSON is not sent as something else.
    let mut garbled = event_of(&node, "good");
    garbled.data = "{\"a\":".into();
    refused.push(garbled.id);
    remote.put_into_outbox(garbled);
    assert!(node.drain(secs(30)).await);
    assert_eq!(node.counts().await.delivered, 594);
    let aside = remote.aside.lock().unwrap().clone();
    let mut set_aside: Vec<_> = aside.iter().map(|(id, _)| *id).collect();
    set_aside.sort();
    refused.sort();
    assert_eq!(set_aside, refused);
    assert!(
        aside
            .iter()
            .any(|(_, why)| why.contains("value out of range"))
    );
    assert_eq!(node.pipeline.refused().outbox_events, 7);
}

/// Begins an event of a tenant for `first`, and leaves it there.
async fn begin_fan_out(node: &Node, tenant: &str, first: &str) {
    let (event_type, now) = (EventType::new(EVENT).unwrap(), node.pipeline.now());
    let data = serde_json::json!({});
    let event = WebhookEvent::new(event_type, Some(tenant.into()), &data, 1_024, now).unwrap();
    let delivery = NewDelivery {
        id: DeliveryId::of(event.id, first),
        endpoint_id: first.into(),
        incarnation: None,
        by_name: false,
        order: None,
        lease: false,
    };
    let part = FanOutPart {
        event: NewEvent {
            event: Arc::new(event),
            priority: Priority::Normal,
            due_at: now,
            max_retries: 0,
            idempotency_key: None,
            fingerprint: None,
            keep: true,
            deliveries: vec![delivery],
        },
        place: PartPlace::First,
        up_to: Some(first.into()),
    };
    node.storage.fan_out(&part, now).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn refused_parts_of_events_hold_no_other_event_up_and_are_tried_again() {
    let (node, remote) = node(|_| Reply::Status(200)).await;
    for tenant in ["bad", "good"] {
        node.add(WebhookEndpoint {
            tenant: Some(tenant.into()),
            ..endpoint(&format!("a_{tenant}"))
        })
        .await;
    }
    remote.refuse(Some("bad"));
    for _ in 0..20 {
        begin_fan_out(&node, "bad", "a_bad").await;
    }
    begin_fan_out(&node, "good", "a_good").await;
    tokio::time::sleep(secs(30)).await;
    assert_eq!(node.transport.calls_to("good").len(), 1);
    assert!(node.transport.calls_to("bad").is_empty());
    remote.refuse(None);
    tokio::time::sleep(secs(400)).await;
    assert_eq!(node.transport.calls_to("bad").len(), 20);
    assert!(node.drain(secs(10)).await);
    assert_eq!(node.counts().await.delivered, 42);
}
