//! Random sequences of operations against the plain model. After each operation everything that can
//! be seen of the storage has to be what the model says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tokio::runtime::Runtime;
use webhooks_core::storage::spi::{
    Claim, Enqueued, GateChange, NewDelivery, NewEvent, SettleAs, Settled,
};
use webhooks_core::storage::{
    Change, Counts, DeliveryQuery, DisabledBy, MAX_PAGE, Retention, WebhookStorage,
};
use webhooks_core::{BatchConfig, DeliveryId, DeliveryState, Priority, Timestamp, WorkerId};

use crate::Backend;
use crate::bench::{Bench, DEAD, endpoint, event};
use crate::model::Model;
use crate::model_rows::ModelRow;
use crate::operation::{ENDPOINTS, Operation, STEPS, Send, WORKERS, operation};

/// Runs random sequences, each on a fresh storage. The same seed gives the same sequences; it can
/// be set by the environment variable `WEBHOOKS_TESTKIT_SEED`, and is 0 by default.
///
/// A sequence that fails is made shorter before it is reported, by up to 2,000 further runs.
/// Nothing is written to disk: the seed is all that is needed to see it again.
pub(crate) fn run<B: Backend>(backend: &B, runtime: &Runtime) {
    let seed = std::env::var("WEBHOOKS_TESTKIT_SEED");
    let seed: u64 = seed.ok().and_then(|s| s.parse().ok()).unwrap_or(0);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config {
        cases: backend.random_sequences(),
        // A file of failures beside a third party's crate would be a surprise.
        failure_persistence: None,
        max_shrink_iters: 2_000,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let sequences = prop::collection::vec(operation(), 1..60);
    let outcome = TestRunner::new_with_rng(config, rng).run(&sequences, |sequence| {
        runtime.block_on(run_sequence(backend, &sequence));
        // A sequence fails by a panic, which proptest catches and makes shorter.
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("with WEBHOOKS_TESTKIT_SEED={seed}: {failure}");
    }
}

/// Runs one sequence on a storage of its own, and panics where storage and model part.
async fn run_sequence<B: Backend>(backend: &B, sequence: &[Operation]) {
    let storage = Arc::new(backend.fresh().await);
    let bench = Bench::new(storage.clone(), backend.capabilities()).await;
    let mut run = Run {
        now: bench.at(0),
        model: Model::default(),
        bench,
    };
    // Every sequence begins with all three endpoints, or most operations would meet nothing.
    for name in ENDPOINTS {
        run.save(name, true, None, false).await;
    }
    for operation in sequence {
        // After each step, so that the one that broke something is the last of the shortest
        // sequence.
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
    /// Does one operation to both, and compares what they answer.
    async fn apply(&mut self, operation: &Operation) {
        match operation {
            Operation::Advance(step) => {
                self.now = self.now.after(Duration::from_millis(STEPS[*step]));
            }
            Operation::Save(at, enabled, tenant, batches) => {
                self.save(ENDPOINTS[*at], *enabled, *tenant, *batches).await;
            }
            Operation::Delete(at) => {
                let deleted = self
                    .storage()
                    .delete_endpoint(ENDPOINTS[*at], self.now)
                    .await;
                let expected = self.model.delete(ENDPOINTS[*at], self.now);
                assert_eq!(deleted.unwrap(), expected);
            }
            Operation::Gate(at, change, epochs_ago) => {
                let (id, change) = (ENDPOINTS[*at], self.gate_change(*change));
                let known = self.model.endpoints.get(id);
                let epoch = known.map_or(0, |endpoint| endpoint.gate.epoch);
                // An epoch before the first is the first.
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
            Operation::Sweep => self.sweep().await,
        }
    }

    fn storage(&self) -> &dyn WebhookStorage {
        &*self.bench.storage
    }

    /// Saves an endpoint; `tenant` is the second one, the first one, or none.
    async fn save(&mut self, id: &str, enabled: bool, tenant: Option<bool>, batches: bool) {
        let mut endpoint = endpoint(id);
        endpoint.enabled = enabled;
        endpoint.batch = batches.then_some(BatchConfig {
            max_events: 3,
            max_wait_ms: 10_000,
            max_bytes: 1 << 20,
        });
        // A save cancels at the storage's own time, which is that of the start: later than a day, what
        // it cancels would be older than what ended before, and storages may differ.
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

    /// The change with this number, with times that depend on when it is made.
    fn gate_change(&self, n: u8) -> GateChange {
        match n {
            0 => GateChange::Pause,
            1 | 2 => GateChange::Resume,
            3 => GateChange::Disable(DisabledBy::Failing),
            4 => GateChange::Enable,
            // Shorter than the silence after which workers are given up, so that holds end in the
            // midst of things.
            5 => GateChange::Hold {
                until: self.now.after(Duration::from_secs(7)),
            },
            6 => GateChange::LimitLeased(Some(2)),
            7 => GateChange::LimitLeased(None),
            8 => GateChange::Reset,
            _ => GateChange::FailingSince(self.now),
        }
    }

    /// Sends events in one call, at once compared one by one: the model takes them in the same
    /// order.
    async fn enqueue(&mut self, sends: &[Send]) {
        let leased_to = sends.iter().find_map(|send| send.leased_to);
        let worker = WORKERS[leased_to.unwrap_or(0)];
        // A worker that holds something without a beat would be judged differently by storages.
        if leased_to.is_some() {
            // A worker that may not claim may not lease with an event either.
            self.revive(worker).await;
        }
        let events: Vec<_> = sends.iter().map(|send| self.new_event(send)).collect();
        let id = WorkerId::named(worker);
        let answers = self.storage().enqueue(&events, Some(&id), self.now).await;
        for (new, answer) in events.iter().zip(answers.unwrap()) {
            let expected = self.model.enqueue(new, worker, self.now);
            assert_eq!(sorted(answer), sorted(expected));
        }
    }

    /// The event that a drawn one stands for, made now.
    fn new_event(&self, send: &Send) -> NewEvent {
        let deliveries = send.endpoints.iter().map(|at| NewDelivery {
            id: DeliveryId::new(self.now),
            endpoint_id: ENDPOINTS[*at].into(),
            incarnation: None,
            by_name: false,
            lease: send.leased_to.is_some(),
        });
        NewEvent {
            event: Arc::new(event("user.created", None, b"{}", self.now)),
            priority: Priority::from_level(send.priority),
            due_at: self.now.after(Duration::from_millis(send.delay)),
            max_retries: 3,
            idempotency_key: send.key.map(|key| format!("key_{key}").into()),
            deliveries: deliveries.collect(),
        }
    }

    /// Claims, and checks what came by what had to: storages are free in the order of endpoints,
    /// and in what the last batch does to the limit.
    async fn claim(&mut self, worker: &str, limit: usize, per_endpoint: usize, suspects: bool) {
        self.revive(worker).await;
        // The contract lets only workers claim that beat.
        let id = WorkerId::named(worker);
        let claim = Claim {
            worker: &id,
            limit,
            per_endpoint,
            poison_suspects: if suspects { usize::MAX } else { 0 },
            ..self.bench.claim_at(self.now)
        };
        let claimed = self.bench.claim(claim).await.deliveries;
        // Asked of the model before it is told what was leased, since that changes the answer.
        let expected = self.model.claimable(per_endpoint, suspects, self.now);
        let least: usize = expected.values().map(|of| of.least).sum();
        let most: usize = expected.values().map(|of| of.most).sum();
        // The last batch may come whole.
        let over = expected.values().map(|of| of.batch - 1).max().unwrap_or(0);
        let possible = least.min(limit)..=most.min(if limit > 0 { limit + over } else { 0 });
        assert!(possible.contains(&claimed.len()), "{expected:?}");
        // Short of its limit, a claim has left nothing that it could take.
        let is_all = claimed.len() < limit;
        let mut keys = BTreeMap::<String, [Vec<i64>; 2]>::new();
        for delivery in claimed {
            let token = delivery.lease.as_ref().unwrap().token;
            // The model panics on a delivery that it does not know, and on a token that is not
            // larger.
            let row = self.model.lease(delivery.id, worker, token);
            assert_eq!(
                (delivery.attempts, delivery.crashes),
                (row.attempts, row.crashes)
            );
            let of_endpoint = keys.entry(row.endpoint.clone()).or_default();
            of_endpoint[usize::from(delivery.is_poison_suspect())].push(row.sort_key);
        }
        // Each endpoint has given no more than it may, no less if there was room, and its first in
        // order.
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

    /// Settles one of the leased deliveries, if there is one, with its own lease or a token of
    /// before.
    async fn settle(&mut self, index: &prop::sample::Index, outcome: u8, stale: bool) {
        let leased = |row: &usize| self.model.rows[*row].state == DeliveryState::Leased;
        let leased: Vec<_> = (0..self.model.rows.len()).filter(leased).collect();
        if leased.is_empty() {
            return;
        }
        let row = leased[index.index(leased.len())];
        let (id, worker) = (self.model.rows[row].id, &self.model.rows[row].worker);
        // The lease as the storage tells it, token and all.
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
        // As the system does it: what was tried has an attempt, what is given back has none.
        let counted = !matches!(settle_as, SettleAs::Release { .. });
        let mut settlement = self.bench.settlement(&delivery, settle_as);
        settlement.attempt = counted.then(|| self.bench.attempt(&delivery, self.now));
        // Tokens begin at 1, so that one less is never a token of now.
        settlement.token -= u64::from(stale);
        let worker = WorkerId::named(worker);
        let settled = self
            .storage()
            .settle(&worker, &[settlement], self.now)
            .await;
        let expected = if stale {
            Settled::Stale
        } else {
            self.model.settle(row, settle_as, counted, self.now)
        };
        assert_eq!(settled.unwrap(), [expected]);
    }

    /// Lets a worker beat that may not claim.
    async fn revive(&mut self, worker: &str) {
        if !self.model.is_alive(worker, self.now) {
            self.beat(worker).await;
        }
    }

    /// Beats, and compares how many came back and whether the worker had been given up.
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

    /// Makes a change with a bound that no sequence reaches.
    async fn change(&mut self, endpoint_id: Option<&str>, to: u8) {
        let to = [Change::Replay, Change::Cancel, Change::Purge, Change::Erase][usize::from(to)];
        let query = DeliveryQuery {
            endpoint_id: endpoint_id.map(Into::into),
            ..DeliveryQuery::default()
        };
        let changed = self.storage().change(&query, to, 10_000, self.now).await;
        // The model has no order; the bound is above what a sequence can make.
        let expected = self.model.change(endpoint_id, to, self.now);
        assert_eq!(changed.unwrap().changed, expected, "{to:?}");
    }

    /// Sweeps until the storage says that nothing is left; the model does it at once.
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

    /// Compares everything that can be seen.
    async fn compare(&self) {
        let counts = waiting_as_ready(self.bench.counts(None).await);
        assert_eq!(counts, self.model.counts(None));
        for id in ENDPOINTS {
            let counts = waiting_as_ready(self.bench.counts(Some(id)).await);
            let expected = self.model.counts(Some(id));
            assert_eq!(
                (counts.ready, counts.leased, counts.suspended),
                (expected.ready, expected.leased, expected.suspended),
                "of {id}"
            );
            self.compare_endpoint(id).await;
        }
        for worker in WORKERS {
            self.compare_leases(worker).await;
        }
        self.compare_rows().await;
    }

    /// What a worker holds, by id, with the tokens under which it holds it.
    async fn compare_leases(&self, worker: &str) {
        let id = WorkerId::named(worker);
        let told = self.storage().leased_by(&id, None, MAX_PAGE).await.unwrap();
        let told: Vec<_> = told.iter().map(|l| (l.delivery_id, l.token)).collect();
        let leased = |row: &&ModelRow| row.state == DeliveryState::Leased && row.worker == worker;
        let rows = self.model.rows.iter().filter(leased);
        let mut expected: Vec<_> = rows.map(|row| (row.id, row.token)).collect();
        expected.sort_unstable();
        assert_eq!(told, expected, "of {worker}");
    }

    /// Whether an endpoint is there, and its gate to the last field.
    async fn compare_endpoint(&self, id: &str) {
        let read = self.storage().get_endpoint(id).await.unwrap();
        let expected = self.model.endpoints.get(id).filter(|e| !e.deleted);
        assert_eq!(read.is_some(), expected.is_some(), "whether {id} exists");
        let Some(expected) = expected else {
            return;
        };
        let record = self.bench.record(id).await;
        assert_eq!(record.endpoint.enabled, expected.enabled, "of {id}");
        assert_eq!(record.gate, expected.gate, "of {id}");
    }

    /// Every delivery there is, state by state, with its reason, attempts and crashes, and whether
    /// its payload is gone.
    async fn compare_rows(&self) {
        let query = DeliveryQuery {
            limit: MAX_PAGE,
            ..DeliveryQuery::default()
        };
        let mut listed: BTreeMap<_, _> = BTreeMap::new();
        for record in self.bench.list(&query).await {
            listed.insert(record.delivery.id, record);
        }
        assert_eq!(listed.len(), self.model.rows.len());
        for row in &self.model.rows {
            let record = listed.get(&row.id).unwrap();
            let state = match record.state {
                DeliveryState::Scheduled => DeliveryState::Ready,
                state => state,
            };
            assert_eq!(
                (state, record.dead_reason, record.cancel_reason),
                (row.state, row.dead_reason, row.cancel_reason)
            );
            let delivery = &record.delivery;
            assert_eq!(
                (
                    delivery.attempts,
                    delivery.crashes,
                    delivery.event.payload.is_empty()
                ),
                (row.attempts, row.crashes, row.erased)
            );
        }
    }
}

/// Scheduled ones that are due may still be counted as scheduled, so the two are one here.
fn waiting_as_ready(mut counts: Counts) -> Counts {
    counts.ready += std::mem::take(&mut counts.scheduled);
    counts
}

/// The answer with its ids in order, which they need not have.
fn sorted(mut answer: Enqueued) -> Enqueued {
    match &mut answer {
        Enqueued::Stored { missing, dead } => {
            missing.sort_unstable();
            dead.sort_unstable();
        }
        Enqueued::Duplicate { delivery_ids, .. } => delivery_ids.sort_unstable(),
        Enqueued::NoEndpoint => {}
    }
    answer
}
