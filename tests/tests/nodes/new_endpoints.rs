//! An endpoint that one node has registered gets what another one sends right after.

use std::time::Duration;

use better_auth_webhooks::storage::{EventQuery, Expected};
use better_auth_webhooks::{OutgoingEvent, WebhookEndpoint, WebhookError};
use serde_json::json;
use webhooks_tests::Receiver;

use crate::place::{Place, builder, endpoint, of_tenant, on_each_storage};

/// How often each race is run.
const ROUNDS: usize = 20;
/// Events of a race: more than one, so that several nodes get hold of some.
const EACH: usize = 5;
const SOON: Duration = Duration::from_secs(20);

on_each_storage! {
    an_event_right_after_a_registration_is_delivered
    an_event_right_after_a_changed_filter_is_delivered
    an_event_for_one_endpoint_by_name_finds_it_at_once
    an_endpoint_that_was_deleted_elsewhere_gets_nothing_more
    nothing_is_kept_of_what_nobody_takes_where_that_is_not_wanted
}

async fn an_event_right_after_a_registration_is_delivered(place: &Place) {
    let receiver = Receiver::responding(200).await;
    let nodes = [place.node().await, place.node().await, place.node().await];
    for node in &nodes {
        node.send_webhook("nobody.takes", json!({})).await.unwrap();
    }
    for round in 0..ROUNDS {
        let [one, two, three] = std::array::from_fn(|n| &nodes[(round + n) % 3]);
        let id = format!("e{round}");
        let events = vec![format!("round.r{round}")];
        let new = WebhookEndpoint {
            events,
            ..endpoint(&id, &receiver.url())
        };
        one.register_endpoint(new).await.unwrap();
        let event = format!("round.r{round}");
        let sent = two.send_webhook(&event, json!({})).await.unwrap();
        assert_eq!(sent.delivery_ids.len(), 1, "in round {round}");
        let batch = [OutgoingEvent::new(&event), OutgoingEvent::new("other")];
        let sent = three.send_batch(batch).await.unwrap();
        let sent = sent
            .into_iter()
            .map(|sent| sent.unwrap().delivery_ids.len());
        assert_eq!(sent.collect::<Vec<_>>(), [1, 0], "in round {round}");
    }
    receiver.wait_for(2 * ROUNDS).await;
    assert!(nodes[0].drain(SOON).await.unwrap());
    assert_eq!(receiver.count(), 2 * ROUNDS, "each once");
}

async fn an_event_right_after_a_changed_filter_is_delivered(place: &Place) {
    let receiver = Receiver::responding(200).await;
    let nodes = [place.node().await, place.node().await, place.node().await];
    let mut changed = endpoint("a", &receiver.url());
    changed.events = vec!["none".into()];
    nodes[0].register_endpoint(changed.clone()).await.unwrap();
    for node in &nodes {
        node.send_webhook("nobody.takes", json!({})).await.unwrap();
    }
    for round in 0..ROUNDS {
        // Whoever has not read the change yet may get hold of the deliveries, too.
        let [one, two, _] = std::array::from_fn(|n| &nodes[(round + n) % 3]);
        let event = format!("round.r{round}");
        // Wider each time: what an endpoint no longer takes is cancelled while it waits.
        changed.events.push(event.clone());
        one.update_endpoint(changed.clone()).await.unwrap();
        for _ in 0..EACH {
            let sent = two.send_webhook(&event, json!({})).await.unwrap();
            assert_eq!(sent.delivery_ids.len(), 1, "in round {round}");
        }
    }
    receiver.wait_for(ROUNDS * EACH).await;
    let metrics = nodes[0].get_metrics().await.unwrap();
    assert_eq!(metrics.counts.cancelled, 0);
}

async fn an_event_for_one_endpoint_by_name_finds_it_at_once(place: &Place) {
    let receiver = Receiver::responding(200).await;
    let (one, two) = (place.node().await, place.node().await);
    two.send_webhook("nobody.takes", json!({})).await.unwrap();
    one.register_endpoint(of_tenant("a", &receiver.url(), "t"))
        .await
        .unwrap();
    let sent = two.webhook("by.name").endpoint("a").send().await.unwrap();
    assert_eq!(sent.delivery_ids.len(), 1);
    receiver.wait_for(1).await;
    let unknown = two.webhook("by.name").endpoint("b").send().await;
    assert!(matches!(unknown, Err(WebhookError::EndpointNotFound(_))));
}

async fn an_endpoint_that_was_deleted_elsewhere_gets_nothing_more(place: &Place) {
    let receiver = Receiver::responding(200).await;
    let (one, two) = (place.node().await, place.node().await);
    one.register_endpoint(endpoint("a", &receiver.url()))
        .await
        .unwrap();
    two.send_webhook("first", json!({})).await.unwrap();
    receiver.wait_for(1).await;
    let seen = one.endpoint("a").await.unwrap();
    let expected = Expected::Revision(seen.definition_revision);
    one.delete_endpoint_if("a", expected).await.unwrap();
    let sent = two.send_webhook("second", json!({})).await.unwrap();
    assert!(sent.delivery_ids.is_empty());
    assert!(two.drain(SOON).await.unwrap());
    assert_eq!(receiver.count(), 1);
}

async fn nothing_is_kept_of_what_nobody_takes_where_that_is_not_wanted(place: &Place) {
    let (keeps, forgets) = (
        place.node().await,
        place.node_with(builder().keep_unmatched(false)).await,
    );
    keeps.send_webhook("is.kept", json!({})).await.unwrap();
    forgets.send_webhook("is.not", json!({})).await.unwrap();
    let events = keeps.events(&EventQuery::default()).await.unwrap().items;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].event.event_type.as_str(), "is.kept");
}
