//! Many at work on one order at the same time: it keeps one head, and is never without one.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};

use tokio::task::JoinHandle;
use webhooks_core::storage::spi::{Claim, EventDelivery, NewEvent, SettleAs, Settlement};
use webhooks_core::storage::{Change, DeliveryQuery, WebhookStorage};
use webhooks_core::{DeliveryId, OnDead, Timestamp, WebhookDelivery, WorkerId};

use crate::bench::Bench;
use crate::cases::orders::keyed;

const DELIVERED: SettleAs = SettleAs::Delivered;

/// So many events for `a`, by turns of two orders.
fn two_orders(t: &Bench, count: usize) -> Vec<NewEvent> {
    let event = |n: usize| keyed(t, "a", ["x", "y"][n % 2], OnDead::Continue);
    (0..count).map(event).collect()
}

/// Sends them one by one, beside whatever the case does.
fn send_beside(t: &Bench, events: Vec<NewEvent>) -> JoinHandle<()> {
    let (storage, now) = (t.storage.clone(), t.at(0));
    tokio::spawn(async move {
        for new in events {
            storage.enqueue(&[new], None, now).await.unwrap();
        }
    })
}

/// Changes all that there is, again and again, beside whatever the case does.
fn change_beside(t: &Bench, to: Change, times: usize) -> JoinHandle<()> {
    let (storage, now) = (t.storage.clone(), t.at(0));
    tokio::spawn(async move {
        for _ in 0..times {
            let all = DeliveryQuery::default();
            storage.change(&all, to, 1_000, now).await.unwrap();
            tokio::task::yield_now().await;
        }
    })
}

/// Claims, checks that no order has two heads, and delivers; how many.
async fn deliver_heads(t: &Bench) -> usize {
    let taken = t.take(0).await;
    let keys: HashSet<_> = taken.iter().map(key_of).collect();
    assert_eq!(keys.len(), taken.len(), "one head of each order");
    let settled = taken.iter().map(|one| t.settlement(one, DELIVERED));
    t.settle(&settled.collect::<Vec<_>>()).await;
    taken.len()
}

fn key_of(delivery: &WebhookDelivery) -> Arc<str> {
    delivery.order.as_ref().unwrap().key.clone()
}

/// Delivers all that is left; nothing may stay behind without a head.
async fn drain(t: &Bench) {
    while deliver_heads(t).await > 0 {}
    let counts = t.counts(None).await;
    assert_eq!(counts.waiting(), 0, "no order without a head: {counts:?}");
}

/// Those who store and those who settle, side by side: no order has two heads, and none stands without
/// one.
pub(crate) async fn storing_beside_settling_leaves_one_head(t: &Bench) {
    const SENDERS: usize = 4;
    const EACH: usize = 25;
    t.save(&["a"]).await;
    let senders = (0..SENDERS).map(|_| send_beside(t, two_orders(t, EACH)));
    let senders: Vec<_> = senders.collect();
    let mut done = 0;
    let mut idle = 0;
    while done < SENDERS * EACH {
        let delivered = deliver_heads(t).await;
        done += delivered;
        idle = if delivered == 0 { idle + 1 } else { 0 };
        let counts = t.counts(None).await;
        assert!(
            counts.blocked == 0 || counts.ready > 0,
            "no order without a head: {counts:?}"
        );
        assert!(idle < 100_000, "{done} are done: {counts:?}");
    }
    for sender in senders {
        sender.await.unwrap();
    }
    assert_eq!(t.counts(None).await.waiting(), 0);
}

/// A cancellation ends heads while others are stored behind them.
pub(crate) async fn cancelling_beside_sending_strands_nobody(t: &Bench) {
    t.save(&["a"]).await;
    let sender = send_beside(t, two_orders(t, 60));
    let change = change_beside(t, Change::Cancel, 20);
    while !sender.is_finished() {
        deliver_heads(t).await;
    }
    sender.await.unwrap();
    change.await.unwrap();
    drain(t).await;
    let counts = t.counts(None).await;
    assert_eq!(counts.delivered + counts.cancelled, 60);
}

/// What is sent again goes to the end while the head ends.
pub(crate) async fn sending_again_beside_settling_strands_nobody(t: &Bench) {
    t.save(&["a"]).await;
    t.enqueue(&two_orders(t, 20)).await;
    let change = change_beside(t, Change::Resend, 10);
    while !change.is_finished() {
        deliver_heads(t).await;
    }
    change.await.unwrap();
    drain(t).await;
    assert_eq!(t.counts(None).await.delivered, 20);
}

/// New events and further deliveries of kept ones join one order.
pub(crate) async fn kept_events_join_beside_new_ones(t: &Bench) {
    t.save(&["a"]).await;
    let kept: Vec<_> = (0..30).map(|_| t.event(&[])).collect();
    t.enqueue(&kept).await;
    let sender = send_beside(t, two_orders(t, 30));
    let more = kept
        .iter()
        .zip(two_orders(t, 30))
        .map(|(kept, mut new)| EventDelivery {
            event_id: kept.event.id,
            delivery: new.deliveries.remove(0),
        });
    let (storage, now, more) = (t.storage.clone(), t.at(0), more.collect::<Vec<_>>());
    let adder = tokio::spawn(async move {
        for one in more {
            storage.deliver_events(&[one], now).await.unwrap();
        }
    });
    while !(sender.is_finished() && adder.is_finished()) {
        deliver_heads(t).await;
    }
    sender.await.unwrap();
    adder.await.unwrap();
    drain(t).await;
    assert_eq!(t.counts(None).await.delivered, 60);
}

/// With its endpoint go all that wait, also those that are stored at that moment.
pub(crate) async fn deleting_beside_sending_leaves_nobody_waiting(t: &Bench) {
    t.save(&["a"]).await;
    let sender = send_beside(t, two_orders(t, 40));
    while t.counts(None).await.enqueued < 10 && !sender.is_finished() {
        deliver_heads(t).await;
    }
    assert!(t.delete("a", t.at(0)).await);
    sender.await.unwrap();
    assert!(t.take(0).await.is_empty());
    assert_eq!(t.counts(None).await.waiting(), 0);
}

/// What each worker was given of each order, in the order in which it was.
type Log = Arc<Mutex<BTreeMap<Arc<str>, Vec<DeliveryId>>>>;

/// Four workers share twenty orders, give some back and retry some: of each order every one is given
/// after the one before it has ended, and never again after the next one was.
pub(crate) async fn many_workers_keep_every_order(t: &Bench) {
    const KEYS: usize = 20;
    const EACH: usize = 8;
    t.save(&["a"]).await;
    let mut sent = BTreeMap::<Arc<str>, Vec<DeliveryId>>::new();
    let mut events = Vec::new();
    for n in 0..KEYS * EACH {
        let key = format!("key_{}", n % KEYS);
        let new = keyed(t, "a", &key, OnDead::Continue);
        sent.entry(key.into())
            .or_default()
            .push(new.deliveries[0].id);
        events.push(new);
    }
    t.enqueue(&events).await;
    let log = Log::default();
    let workers = (0..4).map(|n| {
        let (storage, log, now) = (t.storage.clone(), log.clone(), t.at(0));
        tokio::spawn(async move { work(&*storage, n, &log, now).await })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.unwrap();
    }
    let mut log = std::mem::take(&mut *log.lock().unwrap());
    // Given again at once, it is the same head.
    log.values_mut().for_each(Vec::dedup);
    assert_eq!(log, sent);
}

/// Claims and settles until everything is delivered.
async fn work(storage: &dyn WebhookStorage, number: usize, log: &Log, now: Timestamp) {
    let worker = WorkerId::named(&format!("worker_{number}"));
    storage.beat(Some(&worker), Some(now)).await.unwrap();
    let mut round = number;
    loop {
        let claim = Claim {
            worker: &worker,
            now,
            limit: 3,
            per_endpoint: 3,
            room: &[],
            poison_suspects: 0,
            rate_limit: None,
        };
        let taken = storage.claim(&claim).await.unwrap().deliveries;
        for one in &taken {
            let mut log = log.lock().unwrap();
            log.entry(key_of(one)).or_default().push(one.id);
        }
        let settlements = taken.iter().map(|one| {
            round += 1;
            Settlement {
                delivery_id: one.id,
                endpoint_id: one.endpoint_id.clone(),
                token: one.lease.as_ref().unwrap().token,
                settle_as: match round % 5 {
                    0 => SettleAs::Release { at: now },
                    1 => SettleAs::Retry { at: now },
                    _ => DELIVERED,
                },
                attempt: None,
            }
        });
        let settlements: Vec<_> = settlements.collect();
        storage.settle(&worker, &settlements, now).await.unwrap();
        if taken.is_empty() && storage.counts(None).await.unwrap().waiting() == 0 {
            return;
        }
        tokio::task::yield_now().await;
    }
}
