//! A delivery belongs to one endpoint of one tenant: what comes after it under the same id gets
//! nothing of it.

use std::sync::Arc;
use std::time::Duration;

use better_auth_webhooks::storage::DeliveryQuery;
use better_auth_webhooks::{
    CancelReason, DeliveryState, WebhookEndpoint, WebhookReceiver, WebhookSystem,
};
use serde_json::json;
use tokio::sync::Notify;
use webhooks_tests::{Receiver, Response};

use crate::place::{
    Place, all, builder, count, endpoint, of_tenant, on_each_storage, retries, until,
};

on_each_storage! {
    a_retry_does_not_go_to_the_next_owner_of_an_id
    dead_letters_are_not_replayed_to_the_next_owner
    what_waits_does_not_follow_an_endpoint_to_another_tenant
    a_type_that_is_no_longer_taken_is_not_retried
    a_type_sent_by_name_is_retried_whatever_the_filters_say
    what_waited_while_the_filters_changed_is_cancelled
}

async fn send(system: &WebhookSystem, tenant: &str) {
    let event = system.webhook("order.paid").data(json!({ "of": tenant }));
    let sent = event.tenant(tenant).send().await.unwrap();
    assert_eq!(sent.delivery_ids.len(), 1);
}

async fn reasons(system: &WebhookSystem) -> Vec<Option<CancelReason>> {
    let query = DeliveryQuery {
        states: vec![DeliveryState::Cancelled],
        ..all()
    };
    let page = system.deliveries(&query).await.unwrap();
    page.items.iter().map(|item| item.cancel_reason).collect()
}

async fn cancelled(system: &WebhookSystem, deliveries: u64) {
    until("they are cancelled", async || {
        count(system, DeliveryState::Cancelled).await == deliveries
    })
    .await;
}

/// Everything that arrived is signed with this endpoint's secret and was sent for its tenant.
fn only_its_own(receiver: &Receiver, owner: &WebhookEndpoint) {
    let verifier = WebhookReceiver::new(&owner.secret);
    for request in receiver.received() {
        let webhook = verifier.receive(&request.headers, &request.body).unwrap();
        assert_eq!(
            Some(webhook.data["of"].as_str().unwrap()),
            owner.tenant.as_deref()
        );
    }
}

async fn a_retry_does_not_go_to_the_next_owner_of_an_id(place: &Place) {
    let asked = Arc::new(Notify::new());
    let in_flight = asked.clone();
    let old = Receiver::start(move |_, _| {
        in_flight.notify_one();
        Response::After(Duration::from_millis(400), 500)
    })
    .await;
    let new = Receiver::responding(200).await;
    let one = place.node_with(builder().retry_strategy(retries(5))).await;
    let two = place.node_with(builder().retry_strategy(retries(5))).await;
    let first = of_tenant("a", &old.url(), "org_1");
    let second = of_tenant("a", &new.url(), "org_2");
    one.register_endpoint(first).await.unwrap();
    send(&one, "org_1").await;
    asked.notified().await;
    // While the request is in flight the id changes hands, on another node.
    two.delete_endpoint("a").await.unwrap();
    two.register_endpoint(second.clone()).await.unwrap();
    cancelled(&one, 1).await;
    assert_eq!(reasons(&one).await, [Some(CancelReason::EndpointReplaced)]);
    send(&two, "org_2").await;
    new.wait_for(1).await;
    only_its_own(&new, &second);
    assert_eq!(old.count(), 1);
}

async fn dead_letters_are_not_replayed_to_the_next_owner(place: &Place) {
    let (old, new) = (
        Receiver::responding(413).await,
        Receiver::responding(200).await,
    );
    let system = place.node().await;
    let first = of_tenant("a", &old.url(), "org_1");
    system.register_endpoint(first).await.unwrap();
    for _ in 0..3 {
        send(&system, "org_1").await;
    }
    until("they are dead", async || {
        count(&system, DeliveryState::Dead).await == 3
    })
    .await;
    system.delete_endpoint("a").await.unwrap();
    let second = of_tenant("a", &new.url(), "org_2");
    system.register_endpoint(second.clone()).await.unwrap();
    let replayed = system.dead_letters().replay_all(&all()).await.unwrap();
    assert_eq!(replayed, 0);
    send(&system, "org_2").await;
    new.wait_for(1).await;
    assert!(system.drain(Duration::from_secs(10)).await.unwrap());
    only_its_own(&new, &second);
    assert_eq!(new.count(), 1);
}

async fn what_waits_does_not_follow_an_endpoint_to_another_tenant(place: &Place) {
    let receiver = Receiver::responding(200).await;
    let system = place.node().await;
    let mut owned = of_tenant("a", &receiver.url(), "org_1");
    system.register_endpoint(owned.clone()).await.unwrap();
    system.pause_endpoint("a").await.unwrap();
    for _ in 0..5 {
        send(&system, "org_1").await;
    }
    owned.tenant = Some("org_2".into());
    system.update_endpoint(owned.clone()).await.unwrap();
    send(&system, "org_2").await;
    system.resume_endpoint("a").await.unwrap();
    receiver.wait_for(1).await;
    assert!(system.drain(Duration::from_secs(10)).await.unwrap());
    only_its_own(&receiver, &owned);
    assert_eq!(receiver.count(), 1);
    assert_eq!(
        reasons(&system).await,
        [Some(CancelReason::EndpointReplaced); 5]
    );
}

async fn a_type_that_is_no_longer_taken_is_not_retried(place: &Place) {
    let receiver = Receiver::responding(500).await;
    let system = place.node_with(builder().retry_strategy(retries(5))).await;
    let mut a = endpoint("a", &receiver.url());
    system.register_endpoint(a.clone()).await.unwrap();
    system.send_webhook("order.paid", json!(1)).await.unwrap();
    receiver.wait_for(1).await;
    a.events = vec!["user.*".into()];
    system.update_endpoint(a).await.unwrap();
    cancelled(&system, 1).await;
    assert_eq!(reasons(&system).await, [Some(CancelReason::TypeNotTaken)]);
    assert!(receiver.count() <= 2, "one may have been under way");
}

async fn a_type_sent_by_name_is_retried_whatever_the_filters_say(place: &Place) {
    let receiver = Receiver::start(|_, n| Response::Status(if n < 3 { 500 } else { 200 })).await;
    let system = place.node_with(builder().retry_strategy(retries(5))).await;
    let mut a = endpoint("a", &receiver.url());
    a.events = vec!["user.*".into()];
    system.register_endpoint(a).await.unwrap();
    let event = system.webhook("order.paid").data(json!(1));
    event.endpoint("a").send().await.unwrap();
    receiver.wait_for(3).await;
    until("it is delivered", async || {
        count(&system, DeliveryState::Delivered).await == 1
    })
    .await;
}

async fn what_waited_while_the_filters_changed_is_cancelled(place: &Place) {
    let receiver = Receiver::responding(200).await;
    let system = place.node().await;
    let mut a = endpoint("a", &receiver.url());
    system.register_endpoint(a.clone()).await.unwrap();
    system.pause_endpoint("a").await.unwrap();
    for event in ["order.paid", "user.created", "order.sent"] {
        system.send_webhook(event, json!(1)).await.unwrap();
    }
    a.events = vec!["user.*".into()];
    system.update_endpoint(a).await.unwrap();
    system.resume_endpoint("a").await.unwrap();
    cancelled(&system, 2).await;
    receiver.wait_for(1).await;
    assert_eq!(
        receiver.received()[0].header("x-webhook-event"),
        "user.created"
    );
    assert_eq!(receiver.count(), 1);
}
