//! Events for many endpoints are stored in parts: each endpoint gets them once, whoever stops in the
//! middle, and no part keeps the database from others.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use better_auth_webhooks::storage::spi::FanOut;
use better_auth_webhooks::storage::{DeliveryQuery, WebhookStorage};
use better_auth_webhooks::{DeliveryState, OutgoingEvent, WebhookSystem, WebhookSystemBuilder};
use futures_util::FutureExt;
use futures_util::future::join_all;
use serde_json::json;

use crate::place::{Engine, Place, builder, count, endpoint, on_each_storage, until};

on_each_storage! {
    an_event_for_many_endpoints_is_stored_for_each_once
    a_batch_for_many_endpoints_is_stored_whole
    a_sender_that_stops_in_the_middle_is_finished_by_another_node
    a_key_that_is_sent_again_in_the_middle_sends_once
    an_event_that_is_erased_in_the_middle_is_made_no_more
    what_is_deleted_in_the_middle_gets_nothing_and_the_rest_does
    large_events_for_many_are_stored_in_small_parts
}

/// Of one call that keeps the database from others: far from the seconds that all deliveries took,
/// and from what a busy machine makes of some milliseconds.
const LONGEST: Duration = Duration::from_secs(1);

/// A node that only stores what is sent.
fn sender() -> WebhookSystemBuilder {
    builder().workers(0)
}

/// Endpoints that take everything and that nothing is sent to.
async fn endpoints(place: &Place, count: usize) -> Arc<dyn WebhookStorage> {
    let storage = place.storage().await;
    let all: Vec<_> = (0..count)
        .map(|n| endpoint(&format!("e{n:05}"), "http://127.0.0.1:9/"))
        .collect();
    for some in all.chunks(64) {
        let saved = some.iter().map(|endpoint| storage.save_endpoint(endpoint));
        for saved in join_all(saved).await {
            saved.unwrap();
        }
    }
    storage
}

fn event(n: usize) -> OutgoingEvent {
    OutgoingEvent::new("order.paid").data(json!({ "n": n }))
}

/// Fan-outs that are not done.
async fn open(storage: &Arc<dyn WebhookStorage>) -> Vec<FanOut> {
    let far = storage.beat(None, None).await.unwrap().now;
    let far = far.after(Duration::from_secs(3_600));
    storage.fan_outs(far, 10).await.unwrap()
}

/// The ids of all deliveries of an event, of which each endpoint has one.
async fn stored(storage: &Arc<dyn WebhookStorage>, event_id: &str) -> BTreeSet<String> {
    let mut query = DeliveryQuery {
        event_id: Some(event_id.parse().unwrap()),
        limit: 1_000,
        ..DeliveryQuery::default()
    };
    let (mut ids, mut endpoints) = (BTreeSet::new(), BTreeSet::new());
    loop {
        let page = storage.deliveries(&query).await.unwrap();
        for item in page.items {
            assert!(endpoints.insert(item.delivery.endpoint_id.clone()));
            ids.insert(item.delivery.id.to_string());
        }
        if page.next.is_none() {
            return ids;
        }
        query.before = page.next;
    }
}

async fn an_event_for_many_endpoints_is_stored_for_each_once(place: &Place) {
    let many = if place.registers_slowly() {
        5_000
    } else {
        20_000
    };
    let storage = endpoints(place, many).await;
    let system = place.node_with(sender()).await;
    system.send_webhook("warm.up", json!(1)).await.unwrap();
    let sent = system.send_webhook("order.paid", json!(1)).await.unwrap();
    let longest = place.longest_call().await;
    assert!(longest < LONGEST, "{longest:?}");
    assert_eq!(sent.delivery_ids.len(), many);
    let receipt: BTreeSet<_> = sent.delivery_ids.iter().cloned().collect();
    assert_eq!(stored(&storage, &sent.event_id).await, receipt);
    assert!(open(&storage).await.is_empty());
    assert_eq!(
        usize::try_from(count(&system, DeliveryState::Ready).await).unwrap(),
        2 * many
    );
}

async fn a_batch_for_many_endpoints_is_stored_whole(place: &Place) {
    let storage = endpoints(place, 2_000).await;
    let system = place.node_with(sender()).await;
    let answers = system.send_batch((0..50).map(event)).await.unwrap();
    let longest = place.longest_call().await;
    assert!(longest < LONGEST, "{longest:?}");
    let mut ids = BTreeSet::new();
    for answer in &answers {
        let receipt = answer.as_ref().unwrap();
        assert_eq!(receipt.delivery_ids.len(), 2_000);
        ids.extend(receipt.delivery_ids.iter().cloned());
    }
    assert_eq!(ids.len(), 100_000);
    assert_eq!(count(&system, DeliveryState::Ready).await, 100_000);
    let first = answers[0].as_ref().unwrap();
    let receipt: BTreeSet<_> = first.delivery_ids.iter().cloned().collect();
    assert_eq!(stored(&storage, &first.event_id).await, receipt);
}

/// Begins to send an event and stops once a part of it is stored.
async fn stop_in_the_middle(
    system: &WebhookSystem,
    storage: &Arc<dyn WebhookStorage>,
    event: better_auth_webhooks::EventBuilder,
) -> FanOut {
    system.health().await;
    let mut sending = pin!(event.send().fuse());
    loop {
        // The sender goes no further than this looks.
        assert!(sending.as_mut().now_or_never().is_none(), "it is not done");
        if let Some(begun) = open(storage).await.pop() {
            return begun;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn a_sender_that_stops_in_the_middle_is_finished_by_another_node(place: &Place) {
    let storage = endpoints(place, 5_000).await;
    let one = place.node_with(sender()).await;
    let event = one
        .webhook("order.paid")
        .data(json!(1))
        .idempotency_key("k");
    let begun = stop_in_the_middle(&one, &storage, event).await;
    drop(one);
    let two = place.node_with(sender()).await;
    assert!(!two.drain(Duration::from_millis(100)).await.unwrap());
    until("the other node has finished it", async || {
        open(&storage).await.is_empty()
    })
    .await;
    let event_id = begun.event.event.id.to_string();
    let ids = stored(&storage, &event_id).await;
    assert_eq!(ids.len(), 5_000);
    let again = two
        .webhook("order.paid")
        .data(json!(1))
        .idempotency_key("k");
    let again = again.send().await.unwrap();
    assert_eq!(again.event_id, event_id);
    assert_eq!(again.delivery_ids.into_iter().collect::<BTreeSet<_>>(), ids);
    assert_eq!(count(&two, DeliveryState::Ready).await, 5_000);
}

async fn a_key_that_is_sent_again_in_the_middle_sends_once(place: &Place) {
    let storage = endpoints(place, 3_000).await;
    let system = place.node_with(sender()).await;
    system.health().await;
    let send = || {
        let event = system.webhook("order.paid").data(json!(1));
        event.idempotency_key("k").send()
    };
    let sent = join_all((0..4).map(|_| send())).await;
    let events: BTreeSet<_> = sent.iter().map(|s| &s.as_ref().unwrap().event_id).collect();
    assert_eq!(events.len(), 1);
    until("it is done", async || open(&storage).await.is_empty()).await;
    assert_eq!(count(&system, DeliveryState::Ready).await, 3_000);
    let again = send().await.unwrap();
    let ids: BTreeSet<_> = again.delivery_ids.into_iter().collect();
    assert_eq!(ids, stored(&storage, &again.event_id).await);
}

async fn an_event_that_is_erased_in_the_middle_is_made_no_more(place: &Place) {
    let storage = endpoints(place, 5_000).await;
    let system = place.node_with(sender()).await;
    let event = system
        .webhook("order.paid")
        .data(json!("secret"))
        .tenant("org_1");
    let begun = stop_in_the_middle(&system, &storage, event).await;
    let of_tenant = DeliveryQuery {
        tenant: Some("org_1".into()),
        ..DeliveryQuery::default()
    };
    let erased = system.erase_payloads(&of_tenant).await.unwrap();
    assert!(erased > 0 && erased < 5_000, "{erased}");
    assert!(open(&storage).await.is_empty());
    tokio::time::sleep(Duration::from_secs(9)).await;
    let ids = stored(&storage, &begun.event.event.id.to_string()).await;
    assert_eq!(ids.len(), erased);
    assert_eq!(
        usize::try_from(count(&system, DeliveryState::Cancelled).await).unwrap(),
        erased
    );
}

async fn what_is_deleted_in_the_middle_gets_nothing_and_the_rest_does(place: &Place) {
    let storage = endpoints(place, 3_000).await;
    let system = place.node_with(sender()).await;
    let event = system.webhook("order.paid").data(json!(1));
    let begun = stop_in_the_middle(&system, &storage, event).await;
    system.delete_endpoint("e02999").await.unwrap();
    until("it is done", async || open(&storage).await.is_empty()).await;
    let ids = stored(&storage, &begun.event.event.id.to_string()).await;
    assert_eq!(ids.len(), 2_999);
}

async fn large_events_for_many_are_stored_in_small_parts(place: &Place) {
    let storage = endpoints(place, 100).await;
    let system = place.node_with(sender()).await;
    let large = "x".repeat(250 << 10);
    let sent = system.send_webhook("order.paid", &large).await.unwrap();
    assert_eq!(sent.delivery_ids.len(), 100);
    assert_eq!(stored(&storage, &sent.event_id).await.len(), 100);
}

#[tokio::test]
async fn an_event_of_the_outbox_for_many_endpoints_is_stored_once() {
    let place = Place::new(Engine::Postgres);
    let storage = endpoints(&place, 600).await;
    let client = place.postgres().await;
    let send = "SELECT webhook_send('order.paid', '{}', idempotency_key => 'k') \
        FROM generate_series(1, 2)";
    client.batch_execute(send).await.unwrap();
    let nodes = [
        place.node_with(sender()).await,
        place.node_with(sender()).await,
    ];
    for node in &nodes {
        node.health().await;
    }
    until("the outbox is empty", async || {
        let left = storage.beat(None, None).await.unwrap().outbox;
        !left
    })
    .await;
    let again = nodes[0].webhook("order.paid").idempotency_key("k");
    let again = again.send().await.unwrap();
    let ids: BTreeSet<_> = again.delivery_ids.into_iter().collect();
    assert_eq!(ids.len(), 600);
    assert_eq!(stored(&storage, &again.event_id).await, ids);
    assert_eq!(count(&nodes[0], DeliveryState::Ready).await, 600);
}
