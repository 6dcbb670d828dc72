//! Events are kept once, and can be delivered again.

use std::collections::BTreeSet;
use std::time::Duration;

use better_auth_webhooks::storage::{Change, DeliveryQuery, EventQuery};
use better_auth_webhooks::{EventFilter, Timestamp, WebhookEndpoint, WebhookError};
use serde_json::json;
use webhooks_tests::Receiver;

use crate::place::{Place, endpoint, of_tenant, on_each_storage};

const SOON: Duration = Duration::from_secs(20);

on_each_storage! {
    an_event_is_delivered_to_an_endpoint_that_came_later
    an_endpoint_is_given_what_it_has_missed_in_order_and_once
    a_tenants_endpoint_is_given_its_tenants_events_alone
    what_arrived_is_sent_again
    an_erased_event_is_sent_to_nobody
    a_key_that_was_used_for_other_data_is_refused
}

async fn an_event_is_delivered_to_an_endpoint_that_came_later(place: &Place) {
    let receiver = Receiver::responding(200).await;
    let (one, two) = (place.node().await, place.node().await);
    let sent = one.send_webhook("a.b", json!({ "n": 1 })).await.unwrap();
    assert!(sent.delivery_ids.is_empty());
    two.register_endpoint(endpoint("late", &receiver.url()))
        .await
        .unwrap();
    let id = one.deliver_event(&sent.event_id, "late").await.unwrap();
    receiver.wait_for(1).await;
    let received = receiver.received();
    assert_eq!(received[0].header("x-webhook-id"), sent.event_id);
    assert_eq!(received[0].header("x-webhook-delivery"), id.to_string());
    let record = two.event(&sent.event_id).await.unwrap();
    assert_eq!(record.event.payload, received[0].body);
    assert!(one.drain(SOON).await.unwrap());
    let again = two.deliver_event(&sent.event_id, "late").await;
    let text = again.unwrap_err().to_string();
    assert!(text.contains(&id.to_string()), "{text}");
    let record = two.event(&sent.event_id).await.unwrap();
    assert_eq!(record.deliveries.delivered, 1);
    assert_eq!(record.deliveries.total(), 1);
}

async fn an_endpoint_is_given_what_it_has_missed_in_order_and_once(place: &Place) {
    const EVENTS: usize = 300;
    let receiver = Receiver::responding(200).await;
    let system = place.node().await;
    let early = Timestamp::EPOCH;
    for n in 0..EVENTS {
        let event = if n % 3 == 0 {
            "other.kind"
        } else {
            "wanted.kind"
        };
        system.send_webhook(event, json!({ "n": n })).await.unwrap();
    }
    let late = WebhookEndpoint {
        events: vec!["wanted.*".into()],
        ordering: better_auth_webhooks::OrderBy::All,
        ..endpoint("late", &receiver.url())
    };
    system.register_endpoint(late).await.unwrap();
    let wanted = EVENTS - EVENTS / 3;
    assert_eq!(system.replay_missing("late", early).await.unwrap(), wanted);
    receiver.wait_for(wanted).await;
    assert!(system.drain(SOON).await.unwrap());
    assert_eq!(system.replay_missing("late", early).await.unwrap(), 0);
    let received = receiver.received();
    let bodies: Vec<serde_json::Value> = received
        .iter()
        .map(|received| serde_json::from_slice(&received.body).unwrap())
        .collect();
    // To the millisecond, as are the times of events.
    let times = bodies
        .iter()
        .map(|body| body["timestamp"].as_str().unwrap());
    assert!(times.is_sorted(), "oldest first: {bodies:?}");
    let numbers = bodies
        .iter()
        .map(|body| body["data"]["n"].as_u64().unwrap());
    assert_eq!(numbers.collect::<BTreeSet<_>>().len(), wanted, "each once");
}

async fn a_tenants_endpoint_is_given_its_tenants_events_alone(place: &Place) {
    let receiver = Receiver::responding(200).await;
    let system = place.node().await;
    for tenant in ["one", "two"] {
        let event = system.webhook("a.b").tenant(tenant).data(tenant);
        event.send().await.unwrap();
    }
    system.send_webhook("a.b", "nobody's").await.unwrap();
    system
        .register_endpoint(of_tenant("late", &receiver.url(), "one"))
        .await
        .unwrap();
    let made = system.replay_missing("late", Timestamp::EPOCH).await;
    assert_eq!(made.unwrap(), 1);
    receiver.wait_for(1).await;
    let query = EventQuery {
        tenant: Some("two".into()),
        event_type: Some(EventFilter::new("a.*").unwrap()),
        ..EventQuery::default()
    };
    let events = system.events(&query).await.unwrap().items;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].event.tenant.as_deref(), Some("two"));
}

async fn what_arrived_is_sent_again(place: &Place) {
    let receiver = Receiver::responding(200).await;
    let (one, two) = (place.node().await, place.node().await);
    one.register_endpoint(endpoint("a", &receiver.url()))
        .await
        .unwrap();
    let sent = one.send_webhook("a.b", json!({})).await.unwrap();
    assert!(one.drain(SOON).await.unwrap());
    two.resend(&sent.delivery_ids[0]).await.unwrap();
    receiver.wait_for(2).await;
    assert!(two.drain(SOON).await.unwrap());
    let record = one.delivery(&sent.delivery_ids[0]).await.unwrap();
    assert_eq!(record.delivery.attempts, 1, "a new series");
    assert_eq!(record.last_status, Some(200));
    let metrics = one.get_metrics().await.unwrap();
    assert_eq!(
        (metrics.total_deliveries, metrics.successful_deliveries),
        (1, 1)
    );
    one.delete_endpoint("a").await.unwrap();
    let gone = one.resend(&sent.delivery_ids[0]).await;
    assert!(matches!(gone, Err(WebhookError::DeliveryNotFound(_))));
}

async fn an_erased_event_is_sent_to_nobody(place: &Place) {
    let receiver = Receiver::responding(200).await;
    let system = place.node().await;
    system
        .register_endpoint(endpoint("a", &receiver.url()))
        .await
        .unwrap();
    let sent = system.send_webhook("a.b", "personal").await.unwrap();
    let unmatched = system.webhook("a.b").tenant("t").data("personal");
    let unmatched = unmatched.send().await.unwrap();
    assert!(system.drain(SOON).await.unwrap());
    system
        .erase_payloads(&DeliveryQuery::default())
        .await
        .unwrap();
    for id in [&sent.event_id, &unmatched.event_id] {
        let record = system.event(id).await.unwrap();
        assert!(record.payload_erased && record.event.payload.is_empty());
        assert_eq!(record.payload_bytes, 0);
    }
    let again = system.resend(&sent.delivery_ids[0]).await;
    assert!(matches!(again, Err(WebhookError::PayloadErased(_))));
    system
        .register_endpoint(endpoint("b", &receiver.url()))
        .await
        .unwrap();
    let again = system.deliver_event(&sent.event_id, "b").await;
    assert!(matches!(again, Err(WebhookError::PayloadErased(_))));
    let all = DeliveryQuery::default();
    let step = system.change_some(&all, Change::Resend, 100).await;
    assert_eq!(step.unwrap().changed, 0);
}

async fn a_key_that_was_used_for_other_data_is_refused(place: &Place) {
    let (one, two) = (place.node().await, place.node().await);
    let send = async |system: &better_auth_webhooks::WebhookSystem, event: &str, data| {
        let event = system.webhook(event).data(data);
        event.idempotency_key("key").send().await
    };
    let first = send(&one, "a.b", json!({ "a": 1, "b": 2 })).await.unwrap();
    assert!(!first.duplicate);
    let again = send(&two, "a.b", json!({ "b": 2, "a": 1 })).await.unwrap();
    assert!(again.duplicate);
    assert_eq!(again.event_id, first.event_id);
    for (event, data) in [
        ("a.b", json!({ "a": 1 })),
        ("a.c", json!({ "a": 1, "b": 2 })),
    ] {
        let refused = send(&two, event, data).await;
        let error = refused.unwrap_err();
        assert!(
            matches!(error, WebhookError::IdempotencyKeyReused(_)),
            "{error}"
        );
    }
}
