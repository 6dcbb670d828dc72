//! Whatever is called in whatever order: no order is without a head, none has two, everything is
//! counted where it is, and nothing goes out empty.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "these are helpers of tests"
)]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use webhooks_core::storage::spi::{
    Claim, EventDelivery, NewDelivery, NewEvent, SettleAs, Settlement,
};
use webhooks_core::storage::{
    Change, Deleted, DeliveryQuery, DeliveryRecord, EventQuery, Expected, Retention, StateCounts,
    WebhookStorage,
};
use webhooks_core::{
    CancelReason, DeadReason, DeliveryId, DeliveryOrder, DeliveryState, EventId, EventType, OnDead,
    Priority, Timestamp, WebhookDelivery, WebhookEndpoint, WebhookEvent, WorkerId,
};
use webhooks_storage_memory::{MemoryLimits, MemoryStorage};

const ENDPOINTS: [&str; 2] = ["a", "b"];
const SEQUENCES: u64 = 40;
const CALLS: usize = 300;

/// A storage under random calls, and what is known of its orders.
struct World {
    storage: MemoryStorage,
    random: Rng,
    now: Timestamp,
    held: Vec<WebhookDelivery>,
    events: Vec<EventId>,
    /// When each delivery took its place in its order, and how it was seen last.
    places: HashMap<DeliveryId, u64>,
    seen: HashMap<DeliveryId, DeliveryRecord>,
    next_place: u64,
}

#[tokio::test]
async fn random_calls_leave_everything_consistent() {
    for seed in 0..SEQUENCES {
        let limits = MemoryLimits {
            waiting_per_endpoint: 30,
            ended: 20,
            events: 10,
            ..MemoryLimits::default()
        };
        let mut world = World {
            storage: MemoryStorage::new().with_limits(limits),
            random: Rng::with_seed(seed),
            now: Timestamp::from_secs(1_000_000),
            held: Vec::new(),
            events: Vec::new(),
            places: HashMap::new(),
            seen: HashMap::new(),
            next_place: 0,
        };
        for id in ENDPOINTS {
            world.save(id).await;
        }
        for call in 0..CALLS {
            let what = world.random_call().await;
            world
                .check(&format!("seed {seed}, call {call}: {what}"))
                .await;
        }
    }
}

impl World {
    async fn random_call(&mut self) -> &'static str {
        match self.random.u8(..32) {
            0..8 => self.enqueue().await,
            8..14 => self.claim().await,
            14..22 => self.settle().await,
            22..27 => self.change().await,
            27..29 => self.deliver_events().await,
            29 => self.replace_endpoint().await,
            30 => self.rescue().await,
            _ => self.sweep().await,
        }
    }

    async fn save(&mut self, id: &str) {
        let endpoint = WebhookEndpoint {
            id: id.into(),
            tenant: Some(self.random.u8(..).to_string()),
            ..WebhookEndpoint::default()
        };
        self.storage.save_endpoint(&endpoint).await.unwrap();
    }

    fn delivery(&mut self) -> NewDelivery {
        let key = ["", "k", "l"][self.random.usize(..3)];
        let on_dead = [OnDead::Continue, OnDead::Hold][self.random.usize(..2)];
        let order = DeliveryOrder {
            key: key.into(),
            on_dead,
        };
        let id = DeliveryId::new(self.now);
        self.next_place += 1;
        self.places.insert(id, self.next_place);
        NewDelivery {
            id,
            endpoint_id: ENDPOINTS[self.random.usize(..2)].into(),
            incarnation: None,
            by_name: true,
            order: Some(order).filter(|_| self.random.u8(..4) > 0),
            lease: self.random.bool(),
        }
    }

    async fn enqueue(&mut self) -> &'static str {
        let event_type = EventType::new("user.created").unwrap();
        let event = WebhookEvent::new(event_type, None, "data", 1_000, self.now).unwrap();
        self.events.push(event.id);
        let delay = [0, 0, 60][self.random.usize(..3)];
        let new = NewEvent {
            event: Arc::new(event),
            priority: Priority::Normal,
            due_at: self.now.after(Duration::from_secs(delay)),
            max_retries: 3,
            idempotency_key: None,
            fingerprint: None,
            keep: self.random.bool(),
            deliveries: (0..self.random.usize(..4))
                .map(|_| self.delivery())
                .collect(),
        };
        let worker = WorkerId::named("worker");
        let made = self.storage.enqueue(&[new], Some(&worker), self.now).await;
        made.unwrap();
        "enqueue"
    }

    async fn claim(&mut self) -> &'static str {
        let worker = WorkerId::named("worker");
        let claim = Claim {
            worker: &worker,
            now: self.now,
            limit: self.random.usize(1..6),
            per_endpoint: 3,
            room: &[],
            poison_suspects: 1,
            rate_limit: None,
        };
        let claimed = self.storage.claim(&claim).await.unwrap().deliveries;
        for delivery in &claimed {
            assert!(!delivery.event.payload.is_empty(), "{delivery:?}");
        }
        self.held.extend(claimed);
        "claim"
    }

    async fn settle(&mut self) -> &'static str {
        if self.held.is_empty() {
            return "nothing";
        }
        let delivery = self.held.swap_remove(self.random.usize(..self.held.len()));
        let later = self.now.after(Duration::from_secs(30));
        let settle_as = [
            SettleAs::Delivered,
            SettleAs::Retry { at: later },
            SettleAs::Release { at: self.now },
            SettleAs::Dead {
                reason: DeadReason::PermanentFailure,
            },
            SettleAs::Cancelled {
                reason: CancelReason::TypeNotTaken,
            },
        ][self.random.usize(..5)];
        let settlement = Settlement {
            delivery_id: delivery.id,
            endpoint_id: delivery.endpoint_id,
            token: delivery.lease.unwrap().token,
            settle_as,
            attempt: None,
        };
        let worker = WorkerId::named("worker");
        let settled = self.storage.settle(&worker, &[settlement], self.now).await;
        settled.unwrap();
        "settle"
    }

    async fn change(&mut self) -> &'static str {
        let to = Change::ALL[self.random.usize(..Change::ALL.len())];
        let mut query = DeliveryQuery::default();
        match self.random.u8(..6) {
            0 => query.updated_before = Some(self.now),
            1 => query.endpoint_ids = Some(vec![ENDPOINTS[self.random.usize(..2)].into()]),
            _ => query.event_id = Some(self.event()),
        }
        let limit = self.random.usize(1..20);
        let changed = self.storage.change(&query, to, limit, self.now).await;
        changed.unwrap();
        to.as_str()
    }

    fn event(&mut self) -> EventId {
        let last = self.events.len().saturating_sub(8);
        let recent = self.events.get(last..).unwrap_or_default();
        self.random.choice(recent).copied().unwrap_or(EventId::MIN)
    }

    async fn deliver_events(&mut self) -> &'static str {
        let more = EventDelivery {
            event_id: self.event(),
            delivery: self.delivery(),
        };
        self.storage
            .deliver_events(&[more], self.now)
            .await
            .unwrap();
        "deliver_events"
    }

    async fn replace_endpoint(&mut self) -> &'static str {
        let id = ENDPOINTS[self.random.usize(..2)];
        if self.random.bool() {
            let deleted = self.storage.delete_endpoint(id, Expected::Any, self.now);
            assert_ne!(deleted.await.unwrap(), Deleted::Conflict);
        } else {
            self.save(id).await;
        }
        "replace_endpoint"
    }

    /// Another worker beats on while the one that holds everything is silent.
    async fn rescue(&mut self) -> &'static str {
        let other = WorkerId::named("other");
        for _ in 0..3 {
            self.now = self.now.after(Duration::from_secs(6));
            let beat = self.storage.beat(Some(&other), Some(self.now)).await;
            beat.unwrap();
        }
        "rescue"
    }

    async fn sweep(&mut self) -> &'static str {
        self.now = self.now.after(Duration::from_secs(20));
        let keep = Duration::from_secs(self.random.u64(20..200));
        let retention = Retention {
            delivered: keep,
            log: keep,
            dead: keep,
            waiting: keep,
            events: keep,
        };
        let swept = self.storage.sweep(&retention, 15, self.now).await;
        swept.unwrap();
        "sweep"
    }

    async fn check(&mut self, after: &str) {
        let query = DeliveryQuery {
            limit: 1_000,
            ..DeliveryQuery::default()
        };
        // Newest first: so those go to the ends of their orders that one change sends again.
        let rows = self.storage.deliveries(&query).await.unwrap().items;
        for row in &rows {
            self.note_new_place(row);
        }
        self.check_orders(&rows, after);
        self.check_counts(&rows, after).await;
        let seen = rows.into_iter().map(|row| (row.delivery.id, row));
        self.seen = seen.collect();
    }

    /// What had ended and waits again has a new place, unless it held its order.
    fn note_new_place(&mut self, row: &DeliveryRecord) {
        let id = row.delivery.id;
        let Some(before) = self.seen.get(&id) else {
            return;
        };
        if before.state.is_ended() && !row.state.is_ended() && !holds(before) {
            self.next_place += 1;
            self.places.insert(id, self.next_place);
        }
    }

    fn check_orders(&self, rows: &[DeliveryRecord], after: &str) {
        let mut orders = HashMap::<_, Vec<&DeliveryRecord>>::new();
        for row in rows {
            let Some(order) = &row.delivery.order else {
                assert_ne!(row.state, DeliveryState::Blocked, "{after}");
                continue;
            };
            if !row.state.is_ended() || holds(row) {
                let key = (
                    &row.delivery.endpoint_id,
                    row.delivery.incarnation,
                    &order.key,
                );
                orders.entry(key).or_default().push(row);
            }
        }
        for mut line in orders.into_values() {
            line.sort_unstable_by_key(|row| self.places[&row.delivery.id]);
            let states: Vec<_> = line.iter().map(|row| row.state).collect();
            let (head, behind) = states.split_first().unwrap();
            assert_ne!(*head, DeliveryState::Blocked, "{after}: {states:?}");
            let is_blocked = |state: &DeliveryState| *state == DeliveryState::Blocked;
            assert!(behind.iter().all(is_blocked), "{after}: {states:?}");
        }
    }

    async fn check_counts(&self, rows: &[DeliveryRecord], after: &str) {
        let mut total = StateCounts::default();
        let mut by_event = HashMap::<EventId, StateCounts>::new();
        for row in rows {
            total.add(row.state, 1);
            by_event
                .entry(row.delivery.event.id)
                .or_default()
                .add(row.state, 1);
        }
        let counts = self.storage.counts(None).await.unwrap();
        let ended = counts.delivered + counts.dead + counts.cancelled + counts.purged;
        assert_eq!(counts.enqueued, ended + counts.waiting(), "{after}");
        let waiting = (total.blocked, total.ready, total.scheduled, total.leased);
        let counted = (
            counts.blocked,
            counts.ready,
            counts.scheduled,
            counts.leased,
        );
        assert_eq!(counted, waiting, "{after}");
        let query = EventQuery {
            limit: 1_000,
            ..EventQuery::default()
        };
        let events = self.storage.events(&query).await.unwrap().items;
        for record in &events {
            let of_rows = by_event.remove(&record.event.id).unwrap_or_default();
            assert_eq!(record.deliveries, of_rows, "{after}");
        }
        assert!(by_event.is_empty(), "{after}: deliveries without an event");
    }
}

/// Whether a dead one holds those behind it.
fn holds(row: &DeliveryRecord) -> bool {
    let reason = row.dead_reason;
    let order = row.delivery.order.as_ref();
    row.state == DeliveryState::Dead
        && order.is_some_and(|order| order.on_dead == OnDead::Hold)
        && reason != Some(DeadReason::BacklogFull)
        && reason != Some(DeadReason::Expired)
        && !row.delivery.event.payload.is_empty()
}
