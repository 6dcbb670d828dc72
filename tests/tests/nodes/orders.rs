//! Endpoints that order what they get: no receiver sees a later event of a key while an earlier one
//! is open.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use better_auth_webhooks::{
    DeliveryState, OnDead, OrderBy, OutgoingEvent, WebhookEndpoint, WebhookSystem,
};
use serde_json::{Value, json};
use webhooks_tests::{Receiver, Response};

use crate::place::{Place, builder, count, endpoint, on_each_storage, retries, until};

const SOON: Duration = Duration::from_secs(60);

on_each_storage! {
    events_of_a_key_arrive_in_order_whatever_fails
    an_endpoint_that_orders_all_gets_one_at_a_time
    a_dead_one_lets_the_next_go
    a_dead_one_holds_its_key_until_it_is_replayed
    keys_wait_for_nobody_but_themselves
}

/// What has arrived of each key: the next number, and what came out of turn.
#[derive(Debug, Default)]
struct Arrived {
    next: HashMap<String, u64>,
    wrong: Vec<String>,
    requests: u64,
}

/// A receiver that refuses every third request, and notes what comes too early.
async fn strict() -> (Receiver, Arc<Mutex<Arrived>>) {
    let arrived = Arc::<Mutex<Arrived>>::default();
    let noted = arrived.clone();
    let receiver = Receiver::start(move |received, _| {
        let body: Value = serde_json::from_slice(&received.body).unwrap();
        let key = body["data"]["key"].as_str().unwrap().to_owned();
        let number = body["data"]["n"].as_u64().unwrap();
        let mut arrived = noted.lock().unwrap();
        arrived.requests += 1;
        let (is_refused, arrived) = (arrived.requests % 3 == 0, &mut *arrived);
        let next = arrived.next.entry(key.clone()).or_default();
        if number > *next {
            let text = format!("{number} of {key} before {next}");
            arrived.wrong.push(text);
        }
        if is_refused {
            return Response::Status(500);
        }
        *next = (*next).max(number + 1);
        Response::Status(200)
    });
    (receiver.await, arrived)
}

fn event(key: &str, n: u64) -> OutgoingEvent {
    let event = OutgoingEvent::new("user.changed").ordering_key(key);
    event.data(json!({ "key": key, "n": n }))
}

async fn send(system: &WebhookSystem, events: impl IntoIterator<Item = OutgoingEvent>) {
    let sent = system.send_batch(events).await.unwrap();
    assert!(sent.iter().all(Result::is_ok));
}

fn ordered(url: &str, ordering: OrderBy, on_dead: OnDead) -> WebhookEndpoint {
    WebhookEndpoint {
        ordering,
        on_dead,
        ..endpoint("ordered", url)
    }
}

async fn events_of_a_key_arrive_in_order_whatever_fails(place: &Place) {
    const KEYS: usize = 20;
    const EACH: u64 = 30;
    let (receiver, arrived) = strict().await;
    let fast = || {
        builder().retry_strategy(better_auth_webhooks::RetryStrategy {
            initial_delay_ms: 20,
            max_delay_ms: 20,
            ..retries(50)
        })
    };
    let nodes = [place.node_with(fast()).await, place.node_with(fast()).await];
    let endpoint = ordered(&receiver.url(), OrderBy::Key, OnDead::Continue);
    nodes[0].register_endpoint(endpoint).await.unwrap();
    let keys: Vec<_> = (0..KEYS).map(|key| format!("key_{key}")).collect();
    for n in 0..EACH {
        let system = &nodes[usize::try_from(n).unwrap() % 2];
        send(system, keys.iter().map(|key| event(key, n))).await;
    }
    assert!(nodes[1].drain(SOON).await.unwrap());
    let arrived = arrived.lock().unwrap();
    assert_eq!(arrived.wrong, Vec::<String>::new());
    assert_eq!(arrived.next.len(), KEYS);
    assert!(arrived.next.values().all(|next| *next == EACH));
}

async fn an_endpoint_that_orders_all_gets_one_at_a_time(place: &Place) {
    const EVENTS: u64 = 60;
    let (receiver, arrived) = strict().await;
    let system = place.node_with(builder().retry_strategy(retries(50))).await;
    let endpoint = ordered(&receiver.url(), OrderBy::All, OnDead::Continue);
    system.register_endpoint(endpoint).await.unwrap();
    send(&system, (0..EVENTS).map(|n| event("any", n))).await;
    assert!(system.drain(SOON).await.unwrap());
    let arrived = arrived.lock().unwrap();
    assert_eq!(arrived.wrong, Vec::<String>::new());
    assert_eq!(arrived.next["any"], EVENTS);
}

/// A receiver to which the events with this number are a permanent failure, for as long as it says so.
async fn refuses(number: u64) -> (Receiver, Arc<Mutex<bool>>) {
    let refuses = Arc::new(Mutex::new(true));
    let told = refuses.clone();
    let receiver = Receiver::start(move |received, _| {
        let body: Value = serde_json::from_slice(&received.body).unwrap();
        let is_it = body["data"]["n"] == number;
        Response::Status(if is_it && *told.lock().unwrap() {
            413
        } else {
            200
        })
    });
    (receiver.await, refuses)
}

/// The numbers that have arrived, in order.
fn numbers(receiver: &Receiver) -> Vec<u64> {
    let received = receiver.received().into_iter();
    let numbers = received.map(|received| {
        let body: Value = serde_json::from_slice(&received.body).unwrap();
        body["data"]["n"].as_u64().unwrap()
    });
    numbers.collect()
}

async fn a_dead_one_lets_the_next_go(place: &Place) {
    let (receiver, _) = refuses(1).await;
    let system = place.node().await;
    let endpoint = ordered(&receiver.url(), OrderBy::Key, OnDead::Continue);
    system.register_endpoint(endpoint).await.unwrap();
    send(&system, (0..4).map(|n| event("key", n))).await;
    assert!(system.drain(SOON).await.unwrap());
    assert_eq!(numbers(&receiver), [0, 1, 2, 3]);
    assert_eq!(count(&system, DeliveryState::Dead).await, 1);
}

async fn a_dead_one_holds_its_key_until_it_is_replayed(place: &Place) {
    let (receiver, refuses) = refuses(1).await;
    let system = place.node().await;
    let endpoint = ordered(&receiver.url(), OrderBy::Key, OnDead::Hold);
    system.register_endpoint(endpoint).await.unwrap();
    send(&system, (0..4).map(|n| event("key", n))).await;
    send(&system, [event("other", 7)]).await;
    until("it has died, and the other key has gone on", async || {
        count(&system, DeliveryState::Dead).await == 1
            && count(&system, DeliveryState::Delivered).await == 2
    })
    .await;
    assert_eq!(count(&system, DeliveryState::Blocked).await, 2);
    *refuses.lock().unwrap() = false;
    let letters = system.dead_letters();
    let page = letters.list(&Default::default()).await.unwrap();
    let id = page.items[0].delivery.id.to_string();
    letters.replay(&id).await.unwrap();
    assert!(system.drain(SOON).await.unwrap());
    let arrived = numbers(&receiver);
    let of_key: Vec<_> = arrived.into_iter().filter(|n| *n != 7).collect();
    assert_eq!(of_key, [0, 1, 1, 2, 3]);
}

async fn keys_wait_for_nobody_but_themselves(place: &Place) {
    let stuck = "stuck";
    let receiver = Receiver::start(move |received, _| {
        let body: Value = serde_json::from_slice(&received.body).unwrap();
        let is_stuck = body["data"]["key"] == stuck;
        Response::Status(if is_stuck { 500 } else { 200 })
    })
    .await;
    let system = place
        .node_with(builder().retry_strategy(retries(1_000)))
        .await;
    let endpoint = ordered(&receiver.url(), OrderBy::Key, OnDead::Continue);
    system.register_endpoint(endpoint).await.unwrap();
    send(&system, (0..500).map(|n| event(stuck, n))).await;
    let keys: Vec<_> = (0..100).map(|key| format!("key_{key}")).collect();
    send(&system, keys.iter().map(|key| event(key, 0))).await;
    let unordered = OutgoingEvent::new("user.changed").data(json!({ "key": "", "n": 0 }));
    send(&system, [unordered]).await;
    until("all but the stuck one have arrived", async || {
        count(&system, DeliveryState::Delivered).await == 101
    })
    .await;
    assert_eq!(count(&system, DeliveryState::Blocked).await, 499);
}
