//! What was erased is not in Redis any more.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed expectation here is a failed test"
)]

mod support;

use fred::interfaces::KeysInterface;
use fred::prelude::Client;
use support::work::{endpoint, event, further, now};
use webhooks_core::Timestamp;
use webhooks_core::storage::spi::NewEvent;
use webhooks_core::storage::{Change, DeliveryQuery, EventQuery, WebhookStorage};
use webhooks_storage_redis::RedisStorage;

/// Whether a partition has the event with its payload.
async fn holds_payload(redis: &Client, prefix: &str, new: &NewEvent, partition: usize) -> bool {
    let at = format!("{{{prefix}:{partition}}}:event:{}", new.event.id.as_uuid());
    let kept: Option<Vec<u8>> = redis.get(&at).await.unwrap();
    kept.is_some_and(|kept| kept.ends_with(&new.event.payload))
}

#[tokio::test]
async fn a_payload_goes_with_the_last_that_reads_it_and_never_comes_again() {
    let (url, prefix) = (support::url(), support::prefix());
    let storage = support::storage(&url, &prefix, 1).await;
    let redis = support::client(&url).await;
    let now = now(&storage).await;
    for id in ["a", "b"] {
        storage.save_endpoint(&endpoint(id)).await.unwrap();
    }
    let new = event(&["a", "b", "c"], now);
    let events = std::slice::from_ref(&new);
    storage.enqueue(events, None, now).await.unwrap();
    for (id, is_left) in [("a", true), ("b", false)] {
        let of_one = DeliveryQuery::of_endpoint(id);
        let erased = storage.change(&of_one, Change::Erase, 10, now).await;
        assert_eq!(erased.unwrap().changed, 1);
        assert_eq!(holds_payload(&redis, &prefix, &new, 0).await, is_left);
    }
    // Who sends it again, to an endpoint that came meanwhile, does not bring it back.
    storage.save_endpoint(&endpoint("c")).await.unwrap();
    storage.enqueue(events, None, now).await.unwrap();
    assert!(!holds_payload(&redis, &prefix, &new, 0).await);
    let late = DeliveryQuery::of_endpoint("c");
    assert!(storage.deliveries(&late).await.unwrap().items.is_empty());
    support::drop_keys(&url, &prefix).await;
}

/// A storage in four partitions, with endpoints in more than one of them.
struct Spread {
    storage: RedisStorage,
    redis: Client,
    prefix: String,
    now: Timestamp,
}

const IDS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

impl Spread {
    async fn new() -> Self {
        let (url, prefix) = (support::url(), support::prefix());
        let storage = support::storage(&url, &prefix, 4).await;
        for id in IDS {
            storage.save_endpoint(&endpoint(id)).await.unwrap();
        }
        Self {
            now: now(&storage).await,
            redis: support::client(&url).await,
            storage,
            prefix,
        }
    }

    /// How many partitions have the event with its payload.
    async fn copies(&self, new: &NewEvent) -> usize {
        let mut copies = 0;
        for partition in 0..4 {
            let holds = holds_payload(&self.redis, &self.prefix, new, partition).await;
            copies += usize::from(holds);
        }
        copies
    }

    async fn send(&self, new: &NewEvent) {
        let events = std::slice::from_ref(new);
        self.storage.enqueue(events, None, self.now).await.unwrap();
    }

    async fn change(&self, query: &DeliveryQuery, to: Change) -> usize {
        let changed = self.storage.change(query, to, 10, self.now).await;
        changed.unwrap().changed
    }
}

#[tokio::test]
async fn an_event_is_kept_where_it_has_deliveries_and_goes_everywhere_with_the_last() {
    let t = Spread::new().await;
    let mut bare = event(&[], t.now);
    bare.keep = true;
    t.send(&bare).await;
    assert_eq!(t.copies(&bare).await, 1);
    for id in IDS {
        let one_more = further(bare.event.id, id, t.now);
        t.storage.deliver_events(&[one_more], t.now).await.unwrap();
    }
    assert!(t.copies(&bare).await > 1);
    let listed = t
        .storage
        .events(&EventQuery::default())
        .await
        .unwrap()
        .items;
    assert_eq!((listed.len(), listed[0].deliveries.ready), (1, 6));
    let of = |ids: &[&str]| DeliveryQuery {
        endpoint_ids: Some(ids.iter().map(|id| (*id).into()).collect()),
        ..DeliveryQuery::of_event(bare.event.id)
    };
    for to in [Change::Cancel, Change::Purge] {
        assert_eq!(t.change(&of(&IDS[1..]), to).await, 5);
    }
    assert!(t.copies(&bare).await > 1);
    assert_eq!(t.change(&of(&IDS[..1]), Change::Erase).await, 1);
    assert_eq!(t.copies(&bare).await, 0);
    support::drop_keys(&support::url(), &t.prefix).await;
}

#[tokio::test]
async fn an_erased_event_does_not_come_again_where_it_never_was() {
    let t = Spread::new().await;
    let sent = event(&["a"], t.now);
    t.send(&sent).await;
    let of_sent = DeliveryQuery::of_event(sent.event.id);
    assert_eq!(t.copies(&sent).await, 1);
    assert_eq!(t.change(&of_sent, Change::Erase).await, 1);
    let again = NewEvent {
        deliveries: event(&IDS, t.now).deliveries,
        ..sent.clone()
    };
    t.send(&again).await;
    let listed = t.storage.deliveries(&of_sent).await.unwrap().items;
    assert_eq!((listed.len(), t.copies(&sent).await), (1, 0));
    support::drop_keys(&support::url(), &t.prefix).await;
}
