mod comparing;
mod looking;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tokio::runtime::Runtime;
use webhooks_core::storage::spi::{
    Claim, DeliveredEvent, Enqueued, EventDelivery, Fingerprint, GateChange, NewDelivery, NewEvent,
    SettleAs, Settled,
};
use webhooks_core::storage::{Change, DeliveryQuery, DisabledBy, Retention, WebhookStorage};
use webhooks_core::{
    BatchConfig, DeliveryId, DeliveryOrder, DeliveryState, EventId, FailureKind, OnDead, Priority,
    Timestamp, WorkerId,
};

use crate::Backend;
use crate::bench::{Bench, DEAD, endpoint, event};
use crate::model::{LastAttempt, Model};
use crate::operation::{ENDPOINTS, Operation, Order, STEPS, Send, WORKERS, operation};

/// Runs random sequences, each on a fresh storage. The same seed gives the same sequences; it can
/// be set by the environment variable `WEBHOOKS_TESTKIT_SEED`, and is 0 by default.
pub(crate) fn run<B: Backend>(backend: &B, runtime: &Runtime) {
    let seed = std::env::var("WEBHOOKS_TESTKIT_SEED");
    let seed: u64 = seed.ok().and_then(|s| s.parse().ok()).unwrap_or(0);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config {
        cases: backend.random_sequences(),
        failure_persistence: None,
        max_shrink_iters: 2_000,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let sequences = prop::collection::vec(operation(), 1..60);
    let outcome = TestRunner::new_with_rng(config, rng).run(&sequences, |sequence| {
        runtime.block_on(run_sequence(backend, &sequence));
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("with WEBHOOKS_TESTKIT_SEED={seed}: {failure}");
    }
}

async fn run_sequence<B: Backend>(backend: &B, sequence: &[Operation]) {
    let storage = Arc::new(backend.fresh().await);
    let bench = Bench::new(storage.clone(), backend.capabilities()).await;
    let mut run = Run {
        now: bench.at(0),
        model: Model::default(),
        bench,
    };
    for name in ENDPOINTS {
        run.save(name, true, None, false).await;
    }
    for operation in sequence {
        run.apply(operation).await;
        run.compare().await;
    }
    backend.dispose(&storage).await;
}

/// A storage and a model that are to agree.
struct Run {
    bench: Bench,
    model: Model,
    now: Timestamp,
}

impl Run {
    async fn apply(&mut self, operation: &Operation) {
        match operation {
            Operation::Advance(step) => {
                self.now = self.now.after(Duration::from_millis(STEPS[*step]));
            }
            Operation::Save(at, enabled, tenant, batches) => {
                self.save(ENDPOINTS[*at], *enabled, *tenant, *batches).await;
            }
            Operation::Delete(at) => {
                let deleted = self.bench.delete(ENDPOINTS[*at], self.now).await;
                let expected = self.model.delete(ENDPOINTS[*at], self.now);
                assert_eq!(deleted, expected);
            }
            Operation::Gate(at, change, epochs_ago) => {
                let (id, change) = (ENDPOINTS[*at], self.gate_change(*change));
                let known = self.model.endpoints.get(id);
                let epoch = known.map_or(0, |endpoint| endpoint.gate.epoch);
                let epoch = epochs_ago.map(|n| epoch.saturating_sub(n));
                self.bench.gate_of(id, epoch, change, self.now).await;
                self.model.gate(id, change, epochs_ago.unwrap_or(0));
            }
            Operation::Enqueue(sends) => self.enqueue(sends).await,
            Operation::Claim {
                worker,
                limit,
                per_endpoint,
                suspects,
            } => {
                let worker = WORKERS[*worker];
                self.claim(worker, *limit, *per_endpoint, *suspects).await;
            }
            Operation::Settle {
                row,
                outcome,
                stale,
            } => {
                self.settle(row, *outcome, *stale).await;
            }
            Operation::Beat(worker) => self.beat(WORKERS[*worker]).await,
            Operation::Change(at, to) => self.change(at.map(|at| ENDPOINTS[at]), *to).await,
            Operation::Deliver(all) => self.deliver(all).await,
            Operation::Look(look) => self.look(look).await,
            Operation::Sweep => self.sweep().await,
        }
    }

    fn storage(&self) -> &dyn WebhookStorage {
        &*self.bench.storage
    }

    async fn save(&mut self, id: &str, enabled: bool, tenant: Option<bool>, batches: bool) {
        let mut endpoint = endpoint(id);
        endpoint.enabled = enabled;
        endpoint.batch = batches.then_some(BatchConfig {
            max_events: 3,
            max_wait_ms: 10_000,
            max_bytes: 1 << 20,
        });
        // A save cancels at the storage's own time, which is that of the start: later than a day,
        // what it cancels would be older than what ended before, and storages may differ.
        let may_cancel = self.now.since(self.bench.at(0)) < Duration::from_secs(86_400);
        endpoint.tenant = match may_cancel {
            true => tenant.map(|second| if second { "org_2" } else { "org_1" }.into()),
            false => self.model.tenant(id),
        };
        self.storage().save_endpoint(&endpoint).await.unwrap();
        if self.model.save(&endpoint, self.now) {
            // Counted on from where it was, for as long as the storage keeps the tombstone.
            let epoch = self.bench.record(id).await.gate.epoch;
            let saved = self.model.endpoints.get_mut(id).unwrap();
            saved.gate.epoch = epoch;
        }
    }

    fn gate_change(&self, n: u8) -> GateChange {
        match n {
            0 => GateChange::Pause,
            1 | 2 => GateChange::Resume,
            3 => GateChange::Disable(DisabledBy::Failing),
            4 => GateChange::Enable,
            5 => GateChange::Hold {
                until: self.now.after(Duration::from_secs(7)),
            },
            6 => GateChange::LimitLeased(Some(2)),
            7 => GateChange::LimitLeased(None),
            8 => GateChange::Reset,
            _ => GateChange::FailingSince(self.now),
        }
    }

    async fn enqueue(&mut self, sends: &[Send]) {
        let leased_to = sends.iter().find_map(|send| send.leased_to);
        let worker = WORKERS[leased_to.unwrap_or(0)];
        if leased_to.is_some() {
            self.revive(worker).await;
        }
        let events: Vec<_> = sends.iter().map(|send| self.new_event(send)).collect();
        let id = WorkerId::named(worker);
        let answers = self.storage().enqueue(&events, Some(&id), self.now).await;
        for (new, answer) in events.iter().zip(answers.unwrap().answers) {
            let expected = self.model.enqueue(new, worker, self.now);
            assert_eq!(sorted(answer), sorted(expected));
        }
    }

    fn new_event(&self, send: &Send) -> NewEvent {
        let lease = send.leased_to.is_some();
        let deliveries = (send.endpoints.iter())
            .map(|at| self.new_delivery(*at, send.order, lease))
            .collect();
        let (event_type, tenant) = [
            ("user.created", None),
            ("user.deleted", Some("org_1")),
            ("order.paid", None),
        ][send.kind];
        let stands_for = |other: bool| Fingerprint::of("a", None, &[u8::from(other)]);
        NewEvent {
            event: Arc::new(event(event_type, tenant, b"{}", self.now)),
            priority: Priority::from_level(send.priority),
            due_at: self.now.after(Duration::from_millis(send.delay)),
            max_retries: 3,
            idempotency_key: send.key.map(|key| format!("key_{key}").into()),
            fingerprint: send.fingerprint.map(stands_for),
            keep: send.keep,
            deliveries,
        }
    }

    fn new_delivery(&self, endpoint: usize, order: Option<Order>, lease: bool) -> NewDelivery {
        NewDelivery {
            id: DeliveryId::new(self.now),
            endpoint_id: ENDPOINTS[endpoint].into(),
            incarnation: None,
            by_name: false,
            order: order.map(|(key, holds)| DeliveryOrder {
                key: ["", "key"][key].into(),
                on_dead: [OnDead::Continue, OnDead::Hold][usize::from(holds)],
            }),
            lease,
        }
    }

    async fn deliver(&mut self, all: &[(prop::sample::Index, usize, Option<Order>)]) {
        let events = &self.model.events;
        let one = |(event, endpoint, order): &(prop::sample::Index, usize, Option<Order>)| {
            // Now and then one that was never there.
            let known = event.index(events.len() + 1);
            let known = events.get(known).map(|event| event.id());
            EventDelivery {
                event_id: known.unwrap_or_else(|| EventId::new(self.now)),
                delivery: self.new_delivery(*endpoint, *order, false),
            }
        };
        let all: Vec<_> = all.iter().map(one).collect();
        let answers = self.storage().deliver_events(&all, self.now).await.unwrap();
        assert_eq!(answers.len(), all.len());
        for (one, answer) in all.iter().zip(answers) {
            let expected = self.model.deliver(one, self.now);
            let (DeliveredEvent::Exists(told), DeliveredEvent::Exists(_)) = (answer, expected)
            else {
                assert_eq!(answer, expected);
                continue;
            };
            let row = self.model.rows.iter().find(|row| row.id == told).unwrap();
            let of = (row.event, &*row.endpoint);
            assert_eq!(of, (one.event_id, &*one.delivery.endpoint_id));
        }
    }

    async fn claim(&mut self, worker: &str, limit: usize, per_endpoint: usize, suspects: bool) {
        self.revive(worker).await;
        let id = WorkerId::named(worker);
        let claim = Claim {
            worker: &id,
            limit,
            per_endpoint,
            poison_suspects: if suspects { usize::MAX } else { 0 },
            ..self.bench.claim_at(self.now)
        };
        let claimed = self.bench.claim(claim).await.deliveries;
        let expected = self.model.claimable(per_endpoint, suspects, self.now);
        let least: usize = expected.values().map(|of| of.least).sum();
        let most: usize = expected.values().map(|of| of.most).sum();
        // The last batch may come whole.
        let over = expected.values().map(|of| of.batch - 1).max().unwrap_or(0);
        let possible = least.min(limit)..=most.min(if limit > 0 { limit + over } else { 0 });
        assert!(possible.contains(&claimed.len()), "{expected:?}");
        let is_all = claimed.len() < limit;
        let mut keys = BTreeMap::<String, [Vec<i64>; 2]>::new();
        for delivery in claimed {
            let token = delivery.lease.as_ref().unwrap().token;
            let row = self.model.lease(delivery.id, worker, token);
            assert_eq!(
                (delivery.attempts, delivery.crashes),
                (row.attempts, row.crashes)
            );
            let of_endpoint = keys.entry(row.endpoint.clone()).or_default();
            of_endpoint[usize::from(delivery.is_poison_suspect())].push(row.sort_key);
        }
        for (endpoint, of) in expected {
            let keys = keys.remove(&endpoint).unwrap_or_default();
            let count = keys[0].len() + keys[1].len();
            assert!(
                count <= of.most && (!is_all || count >= of.least),
                "{endpoint}: {of:?}"
            );
            assert!(of.is_first(&keys), "{endpoint}: {keys:?} of {of:?}");
        }
        assert!(keys.is_empty(), "of endpoints that have nothing: {keys:?}");
    }

    async fn settle(&mut self, index: &prop::sample::Index, outcome: u8, stale: bool) {
        let leased = |row: &usize| self.model.rows[*row].state == DeliveryState::Leased;
        let leased: Vec<_> = (0..self.model.rows.len()).filter(leased).collect();
        if leased.is_empty() {
            return;
        }
        let row = leased[index.index(leased.len())];
        let (id, worker) = (self.model.rows[row].id, &self.model.rows[row].worker);
        let delivery = self.bench.delivery(id).await.delivery;
        let settle_as = match outcome {
            0 => SettleAs::Delivered,
            1 => DEAD,
            2 => SettleAs::Retry { at: self.now },
            3 => SettleAs::Retry {
                at: self.now.after(Duration::from_secs(9)),
            },
            4 => SettleAs::Release {
                at: self.now.before(Duration::from_secs(1)),
            },
            _ => SettleAs::Release {
                at: self.now.after(Duration::from_secs(2)),
            },
        };
        let last = last_attempt(settle_as);
        let mut settlement = self.bench.settlement(&delivery, settle_as);
        settlement.attempt = last.map(|(status, failure)| {
            let mut attempt = self.bench.attempt(&delivery, self.now);
            (attempt.status, attempt.failure) = (status, failure);
            attempt
        });
        settlement.token -= u64::from(stale);
        let worker = WorkerId::named(worker);
        let settled = self
            .storage()
            .settle(&worker, &[settlement], self.now)
            .await;
        let expected = if stale {
            Settled::Stale
        } else {
            self.model.settle(row, settle_as, last, self.now)
        };
        assert_eq!(settled.unwrap(), [expected]);
    }

    /// Lets a worker beat that may not claim.
    async fn revive(&mut self, worker: &str) {
        if !self.model.is_alive(worker, self.now) {
            self.beat(worker).await;
        }
    }

    async fn beat(&mut self, worker: &str) {
        let id = WorkerId::named(worker);
        let beat = self
            .storage()
            .beat(Some(&id), Some(self.now))
            .await
            .unwrap();
        let (rescued, lost) = self.model.beat(worker, self.now);
        let expected = (rescued, lost.unwrap_or(beat.lost));
        assert_eq!((beat.rescued, beat.lost), expected, "of {worker}");
    }

    async fn change(&mut self, endpoint_id: Option<&str>, to: u8) {
        let to = [
            Change::Replay,
            Change::Resend,
            Change::Cancel,
            Change::Purge,
            Change::Erase,
        ][usize::from(to)];
        let query = DeliveryQuery {
            endpoint_ids: endpoint_id.map(|id| vec![id.into()]),
            ..DeliveryQuery::default()
        };
        let changed = self.storage().change(&query, to, 10_000, self.now).await;
        let expected = self.model.change(endpoint_id, to, self.now);
        assert_eq!(changed.unwrap().changed, expected, "{to:?}");
    }

    async fn sweep(&mut self) {
        let retention = Retention::default();
        for _ in 0..100 {
            let swept = self.storage().sweep(&retention, 10_000, self.now).await;
            if !swept.unwrap().more {
                self.model.sweep(&retention, self.now);
                return;
            }
        }
        panic!("a sweep never ends");
    }
}

/// What an attempt that is settled so came to; a release had none.
const fn last_attempt(settle_as: SettleAs) -> Option<LastAttempt> {
    match settle_as {
        SettleAs::Delivered => Some((Some(204), None)),
        SettleAs::Retry { .. } => Some((None, Some(FailureKind::Timeout))),
        SettleAs::Release { .. } => None,
        _ => Some((Some(503), Some(FailureKind::ServerError))),
    }
}

/// The answer with its ids in order, which they need not have.
fn sorted(mut answer: Enqueued) -> Enqueued {
    match &mut answer {
        Enqueued::Stored { missing, dead } => {
            missing.sort_unstable();
            dead.sort_unstable();
        }
        Enqueued::Duplicate { delivery_ids, .. } => delivery_ids.sort_unstable(),
        Enqueued::NoEndpoint | Enqueued::KeyReused => {}
    }
    answer
}
