//! An endpoint with a filter gets the events that pass it, by whatever way they are sent, and no
//! others.

use std::collections::BTreeMap;
use std::time::Duration;

use better_auth_webhooks::storage::DeliveryQuery;
use better_auth_webhooks::{
    ContentFilter, OutgoingEvent, Timestamp, WebhookEndpoint, WebhookError, WebhookSystem,
};
use serde_json::{Value, json};
use webhooks_tests::Receiver;

use crate::place::{Engine, Place, builder, endpoint, of_tenant, on_each_storage, until};

const SOON: Duration = Duration::from_secs(20);

on_each_storage! {
    each_endpoint_gets_what_passes_its_filter
    an_event_for_many_goes_to_those_whose_filter_it_passes
    what_a_filter_was_too_narrow_for_can_be_had_later
    an_event_right_after_a_filter_was_widened_elsewhere_is_delivered
    a_filter_that_is_narrowed_cancels_nothing_that_waits
    an_invalid_filter_is_refused_before_anything_is_stored
}

fn filter(expression: Value) -> Option<ContentFilter> {
    Some(ContentFilter::new(expression).unwrap())
}

fn filtered(id: &str, url: &str, expression: Value) -> WebhookEndpoint {
    WebhookEndpoint {
        filter: filter(expression),
        ..endpoint(id, url)
    }
}

/// Which numbers `n` an endpoint has deliveries of, in order.
async fn numbers(system: &WebhookSystem, id: &str) -> Vec<i64> {
    let query = DeliveryQuery {
        endpoint_ids: Some(vec![id.into()]),
        limit: 1_000,
        ..DeliveryQuery::default()
    };
    let page = system.deliveries(&query).await.unwrap();
    let number = |payload: &[u8]| {
        let envelope: Value = serde_json::from_slice(payload).unwrap();
        envelope["data"]["n"].as_i64().unwrap()
    };
    let deliveries = page.items.iter();
    let mut numbers: Vec<_> = deliveries
        .map(|record| number(&record.delivery.event.payload))
        .collect();
    numbers.sort_unstable();
    numbers
}

async fn each_endpoint_gets_what_passes_its_filter(place: &Place) {
    let receiver = Receiver::responding(200).await;
    let system = place.node().await;
    let url = receiver.url();
    for endpoint in [
        endpoint("all", &url),
        filtered("large", &url, json!({ "data": { "n": { "$gte": 10 } } })),
        filtered(
            "small",
            &url,
            json!({ "data": { "n": { "$lt": 10 } }, "event": "order.paid" }),
        ),
        filtered("none", &url, json!({ "tenant": { "$exist": true } })),
    ] {
        system.register_endpoint(endpoint).await.unwrap();
    }
    let sent = system.send_webhook("order.paid", json!({ "n": 9 })).await;
    assert_eq!(sent.unwrap().delivery_ids.len(), 2);
    let event = |name: &str, n| OutgoingEvent::new(name).data(json!({ "n": n }));
    let batch = [
        event("order.paid", 10),
        event("order.sent", 1),
        event("order.paid", 2),
    ];
    let sent = system.send_batch(batch).await.unwrap();
    let made = sent
        .into_iter()
        .map(|sent| sent.unwrap().delivery_ids.len());
    assert_eq!(made.collect::<Vec<_>>(), [2, 1, 2]);
    // By name it goes whatever is in it, at a delay too.
    let by_name = system
        .webhook("order.paid")
        .data(json!({ "n": 3 }))
        .endpoint("large");
    assert_eq!(by_name.send().await.unwrap().delivery_ids.len(), 1);
    let delayed = system.webhook("order.paid").data(json!({ "n": 20 }));
    let sent = delayed
        .delay(Duration::from_millis(50))
        .send()
        .await
        .unwrap();
    assert_eq!(sent.delivery_ids.len(), 2);
    assert!(system.drain(SOON).await.unwrap());
    assert_eq!(numbers(&system, "all").await, [1, 2, 9, 10, 20]);
    assert_eq!(numbers(&system, "large").await, [3, 10, 20]);
    assert_eq!(numbers(&system, "small").await, [2, 9]);
    assert!(numbers(&system, "none").await.is_empty());
    assert_eq!(receiver.count(), 10);
}

async fn an_event_for_many_goes_to_those_whose_filter_it_passes(place: &Place) {
    let system = place.node_with(builder().workers(0)).await;
    let storage = place.storage().await;
    // More than one commit is to hold, with and without filters.
    const EACH: usize = 150;
    for n in 0..3 * EACH {
        let mut to = endpoint(&format!("e{n:03}"), "http://127.0.0.1:9/");
        to.filter = match n % 3 {
            0 => None,
            1 => filter(json!({ "data": { "n": n } })),
            _ => filter(json!({ "data": { "n": { "$ne": n } } })),
        };
        storage.save_endpoint(&to).await.unwrap();
    }
    let sent = system
        .send_webhook("order.paid", json!({ "n": 4 }))
        .await
        .unwrap();
    assert_eq!(sent.delivery_ids.len(), 2 * EACH + 1);
    let sent = system
        .send_webhook("order.paid", json!({ "n": 5 }))
        .await
        .unwrap();
    assert_eq!(sent.delivery_ids.len(), 2 * EACH - 1);
    for (id, expected) in [
        ("e003", &[4, 5][..]),
        ("e004", &[4]),
        ("e005", &[4]),
        ("e007", &[]),
    ] {
        assert_eq!(numbers(&system, id).await, expected, "{id}");
    }
}

async fn what_a_filter_was_too_narrow_for_can_be_had_later(place: &Place) {
    let receiver = Receiver::responding(200).await;
    let system = place.node().await;
    let narrow = json!({ "data": { "n": 0 } });
    let mut to = filtered("a", &receiver.url(), narrow);
    system.register_endpoint(to.clone()).await.unwrap();
    for n in 0..10 {
        system
            .send_webhook("order.paid", json!({ "n": n }))
            .await
            .unwrap();
    }
    to.filter = filter(json!({ "data": { "n": { "$lte": 4 } } }));
    system.update_endpoint(to).await.unwrap();
    assert_eq!(
        system.replay_missing("a", Timestamp::EPOCH).await.unwrap(),
        4
    );
    assert_eq!(
        system.replay_missing("a", Timestamp::EPOCH).await.unwrap(),
        0
    );
    assert!(system.drain(SOON).await.unwrap());
    assert_eq!(numbers(&system, "a").await, [0, 1, 2, 3, 4]);
}

async fn an_event_right_after_a_filter_was_widened_elsewhere_is_delivered(place: &Place) {
    const ROUNDS: i64 = 20;
    let receiver = Receiver::responding(200).await;
    let nodes = [place.node().await, place.node().await];
    let mut changed = filtered("a", &receiver.url(), json!({ "data": { "n": -1 } }));
    nodes[0].register_endpoint(changed.clone()).await.unwrap();
    for node in &nodes {
        node.send_webhook("order.paid", json!({ "n": -2 }))
            .await
            .unwrap();
    }
    for n in 0..ROUNDS {
        let one = usize::try_from(n % 2).unwrap();
        let (one, two) = (&nodes[one], &nodes[1 - one]);
        changed.filter = filter(json!({ "data": { "n": n } }));
        one.update_endpoint(changed.clone()).await.unwrap();
        // The other one has not read the change.
        let sent = two
            .send_webhook("order.paid", json!({ "n": n }))
            .await
            .unwrap();
        assert_eq!(sent.delivery_ids.len(), 1, "in round {n}");
        let other = json!({ "n": n + 1_000 });
        let sent = two.send_webhook("order.paid", other).await.unwrap();
        assert!(sent.delivery_ids.is_empty(), "in round {n}");
    }
    receiver.wait_for(20).await;
    assert!(nodes[0].drain(SOON).await.unwrap());
    assert_eq!(
        numbers(&nodes[0], "a").await,
        (0..ROUNDS).collect::<Vec<_>>()
    );
}

async fn a_filter_that_is_narrowed_cancels_nothing_that_waits(place: &Place) {
    let receiver = Receiver::responding(200).await;
    let system = place.node().await;
    let mut to = of_tenant("a", &receiver.url(), "t");
    to.filter = filter(json!({ "tenant": "t" }));
    system.register_endpoint(to.clone()).await.unwrap();
    let event = system
        .webhook("order.paid")
        .data(json!({ "n": 1 }))
        .tenant("t");
    event
        .delay(Duration::from_millis(300))
        .send()
        .await
        .unwrap();
    to.filter = filter(json!({ "data": { "n": 2 } }));
    system.update_endpoint(to).await.unwrap();
    let event = system
        .webhook("order.paid")
        .data(json!({ "n": 1 }))
        .tenant("t");
    assert!(event.send().await.unwrap().delivery_ids.is_empty());
    receiver.wait_for(1).await;
    assert!(system.drain(SOON).await.unwrap());
    let metrics = system.get_metrics().await.unwrap();
    assert_eq!((metrics.counts.delivered, metrics.counts.cancelled), (1, 0));
}

async fn an_invalid_filter_is_refused_before_anything_is_stored(place: &Place) {
    let system = place.node().await;
    let deep = format!("{}1{}", "{\"data\":".repeat(100), "}".repeat(100));
    let wide = json!({ "data": { "n": vec![1; 1_000_000] } }).to_string();
    let huge = json!({ "data": "x".repeat(10_000_000) }).to_string();
    let many = json!({ "$and": vec![json!({ "$not": {} }); 1_000] }).to_string();
    let mut expected = BTreeMap::from([
        (deep.as_str(), "filter is nested more than 16 deep"),
        (wide.as_str(), "filter is longer than 16384 bytes"),
        (huge.as_str(), "filter is longer than 16384 bytes"),
        (many.as_str(), "filter has more than 64 operators"),
    ]);
    expected.insert(
        r#"{"data":{"n":{"$like":1}}}"#,
        "filter has the operator \"$like\"",
    );
    for (json, expected) in expected {
        let mut to = endpoint("a", "http://127.0.0.1:9/");
        to.filter = Some(serde_json::from_str(json).unwrap());
        let error = system.register_endpoint(to).await.unwrap_err();
        assert!(matches!(error, WebhookError::InvalidFilter(_)), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
        assert!(system.get_endpoint("a").await.unwrap().is_none());
    }
}

#[tokio::test]
async fn what_was_sent_inside_a_transaction_passes_the_same_filters() {
    let place = Place::new(Engine::Postgres);
    let receiver = Receiver::responding(200).await;
    let system = place.node().await;
    let url = receiver.url();
    let even = json!({ "data": { "n": { "$in": [0, 2, 4] } } });
    system
        .register_endpoint(filtered("even", &url, even))
        .await
        .unwrap();
    let odd = json!({ "$not": { "data": { "n": { "$in": [0, 2, 4] } } } });
    system
        .register_endpoint(filtered("odd", &url, odd))
        .await
        .unwrap();
    let client = place.postgres().await;
    // With a number and keys as a program may write them, and jsonb would not.
    let send = "SELECT webhook_send('order.paid', ('{\"n\" : 9, \"n\": ' || n || '.0e0}')::json)
        FROM generate_series(0, 4) n";
    client.batch_execute(send).await.unwrap();
    until("all are delivered", async || receiver.count() == 5).await;
    assert!(system.drain(SOON).await.unwrap());
    let made = |id| {
        let query = DeliveryQuery {
            endpoint_ids: Some(vec![id]),
            ..DeliveryQuery::default()
        };
        let system = &system;
        async move { system.deliveries(&query).await.unwrap().items.len() }
    };
    assert_eq!(
        (made("even".into()).await, made("odd".into()).await),
        (3, 2)
    );
}
