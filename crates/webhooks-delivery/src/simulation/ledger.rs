//! What the storage holds, as its answers tell: who has leased what, and what came of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use webhooks_core::storage::spi::{
    EndpointGate, Enqueued, GateChange, NewEvent, SettleAs, Settled, Settlement,
};
use webhooks_core::storage::{DeliveryQuery, WebhookStorage};
use webhooks_core::{
    CancelReason, DeliveryId, DeliveryOrder, DeliveryState, EventFilter, Timestamp, WorkerId,
};

use super::event::{Answer, Call};
use super::storage::done;
use super::trace::fail;
use super::world::World;

/// One delivery.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) endpoint_id: Arc<str>,
    pub(super) event_type: Arc<str>,
    pub(super) by_name: bool,
    pub(super) attempts: u32,
    pub(super) crashes: u32,
    pub(super) lease: Option<(WorkerId, u64)>,
    pub(super) is_ended: bool,
    /// The endpoint took it.
    pub(super) arrived: bool,
    /// No attempt starts before.
    pub(super) not_before: Timestamp,
    /// The order in which it stands, and its place there.
    order: Option<(DeliveryOrder, u64)>,
    /// Of the endpoint that it is for.
    incarnation: Option<u64>,
    /// Since it was stored its endpoint had a definition that does not take it.
    may_be_not_taken: bool,
}

/// Whose events stand in order: the endpoint, its incarnation, the key.
type Line = (Arc<str>, Option<u64>, Arc<str>);

/// The first place of each order that has not ended.
pub(super) type Heads = BTreeMap<Line, u64>;

impl Row {
    /// Whether nothing is before it in its order.
    pub(super) fn stands_first(&self, heads: &Heads) -> bool {
        self.place()
            .is_none_or(|(order, place)| heads.get(&order) == Some(&place))
    }

    fn place(&self) -> Option<(Line, u64)> {
        let (order, place) = self.order.as_ref()?;
        let order = (
            self.endpoint_id.clone(),
            self.incarnation,
            order.key.clone(),
        );
        Some((order, *place))
    }
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) rows: BTreeMap<DeliveryId, Row>,
    workers: BTreeSet<WorkerId>,
    /// Deliveries stored so far.
    stored: u64,
}

impl Ledger {
    pub(super) fn heads(&self) -> Heads {
        let mut heads = Heads::new();
        let open = self.rows.values().filter(|row| !row.is_ended);
        for (order, place) in open.filter_map(Row::place) {
            let head = heads.entry(order).or_insert(place);
            *head = place.min(*head);
        }
        heads
    }

    fn account_enqueued(&mut self, worker: &WorkerId, events: &[NewEvent], answers: &[Enqueued]) {
        for (event, answer) in events.iter().zip(answers) {
            let Enqueued::Stored { missing, .. } = answer else {
                continue;
            };
            for new in event.deliveries.iter().filter(|d| !missing.contains(&d.id)) {
                let row = Row {
                    endpoint_id: new.endpoint_id.clone(),
                    event_type: event.event.event_type.as_str().into(),
                    by_name: new.by_name,
                    attempts: 0,
                    crashes: 0,
                    lease: new.lease.then(|| (worker.clone(), 1)),
                    is_ended: false,
                    arrived: false,
                    not_before: event.due_at,
                    order: new.order.clone().map(|order| (order, self.stored)),
                    incarnation: new.incarnation,
                    may_be_not_taken: false,
                };
                self.stored += 1;
                self.rows.entry(new.id).or_insert(row);
            }
        }
        self.workers.insert(worker.clone());
    }
}

impl World<'_> {
    /// Takes note of what a call did.
    pub(super) fn account(&mut self, node: usize, call: &Call, answer: Option<&Answer>) {
        let Some(answer) = answer else { return };
        match (call, answer) {
            (Call::Enqueue { worker, events, .. }, Answer::Enqueued(answers)) => {
                self.ledger.account_enqueued(worker, events, answers);
                self.account_definitions();
            }
            (Call::Claim { worker, .. }, Answer::Claimed(claimed)) => {
                self.ledger.workers.insert(worker.clone());
                for delivery in &claimed.deliveries {
                    let lease = delivery.lease.as_ref().unwrap();
                    let row = self.ledger.rows.get_mut(&delivery.id).unwrap();
                    if let Some(lease) = &row.lease {
                        fail(
                            "one holder",
                            format!("{} was leased by {lease:?}", delivery.id),
                        );
                    }
                    row.lease = Some((worker.clone(), lease.token));
                    self.check_stands_first(delivery.id);
                }
                let ids: Vec<_> = claimed
                    .deliveries
                    .iter()
                    .map(|d| d.id.to_string()[26..].to_owned())
                    .collect();
                self.note(|| format!("n{node} claims {ids:?}"));
            }
            (Call::Settle { settlements, .. }, Answer::Settled(settled)) => {
                for (settlement, settled) in settlements.iter().zip(settled) {
                    self.account_settled(node, settlement, *settled);
                }
            }
            (Call::SetGates { gates, .. }, Answer::Done) => self.account_gates(node, gates),
            (Call::Beat { worker }, Answer::Beat(beat)) => {
                self.ledger.workers.insert(worker.clone());
                if beat.rescued > 0 {
                    self.note(|| format!("n{node} rescues {}", beat.rescued));
                    self.account_rescued();
                }
            }
            _ => {}
        }
    }

    fn account_settled(&mut self, node: usize, settlement: &Settlement, settled: Settled) {
        let row = self.ledger.rows.get_mut(&settlement.delivery_id);
        let Some(row) = row else {
            return; // Given back before it was stored.
        };
        self.trace.line(self.us, || {
            let id = &settlement.delivery_id.to_string()[26..];
            format!(
                "n{node} settles {id} {:?}: {settled:?}",
                settlement.settle_as
            )
        });
        if settled == Settled::Stale {
            return;
        }
        let not_taken = SettleAs::Cancelled {
            reason: CancelReason::TypeNotTaken,
        };
        if settlement.settle_as == not_taken && !row.may_be_not_taken {
            fail(
                "what every definition since takes is not cancelled",
                settlement.delivery_id,
            );
        }
        row.lease = None;
        row.attempts += u32::from(settlement.attempt.is_some());
        row.is_ended = settled == Settled::Cancelled;
        match settlement.settle_as {
            SettleAs::Delivered if !row.arrived => {
                fail("delivered is what arrived", settlement.delivery_id);
            }
            SettleAs::Delivered | SettleAs::Dead { .. } | SettleAs::Cancelled { .. } => {
                row.is_ended = true;
            }
            SettleAs::Retry { at } => row.not_before = at,
            SettleAs::Release { .. } => {}
        }
    }

    /// Takes note of what endpoints do not take, as the storage has them now.
    pub(super) fn account_definitions(&mut self) {
        for endpoint in &self.plan.endpoints {
            let id = endpoint.endpoint.id.as_str();
            let record = done(self.storage.endpoint_record(id)).unwrap();
            let filters = record.map(|record| record.endpoint.filters().unwrap());
            let rows = self.ledger.rows.values_mut();
            for row in rows.filter(|row| *row.endpoint_id == *id && !row.is_ended) {
                let takes = |filters: &Vec<EventFilter>| {
                    filters.iter().any(|filter| filter.matches(&row.event_type))
                };
                row.may_be_not_taken |= !filters.as_ref().is_some_and(takes);
            }
        }
    }

    /// Leases of dead workers were taken back.
    fn account_rescued(&mut self) {
        let mut held = BTreeSet::new();
        for worker in &self.ledger.workers {
            let leases = done(self.storage.leased_by(worker, None, usize::MAX)).unwrap();
            held.extend(leases.into_iter().map(|lease| lease.delivery_id));
        }
        for (id, row) in &mut self.ledger.rows {
            if row.lease.is_some() && !held.contains(id) {
                row.lease = None;
                row.crashes += 1;
            }
        }
    }

    /// Nothing of an order is claimed while an earlier one has not ended.
    fn check_stands_first(&self, id: DeliveryId) {
        let row = &self.ledger.rows[&id];
        let Some((order, place)) = &row.order else {
            return;
        };
        let mut query = DeliveryQuery {
            states: DeliveryState::WAITING.to_vec(),
            limit: 1_000,
            ..DeliveryQuery::of_endpoint(&row.endpoint_id)
        };
        loop {
            let page = done(self.storage.deliveries(&query)).unwrap();
            for earlier in &page.items {
                let other = &self.ledger.rows[&earlier.delivery.id];
                let is_before = (other.order.as_ref())
                    .is_some_and(|(of, at)| of.key == order.key && at < place);
                if is_before && other.incarnation == row.incarnation {
                    fail(
                        "deliveries of an order go one after another",
                        format!(
                            "{id} is claimed, and {} is {}",
                            earlier.delivery.id, earlier.state
                        ),
                    );
                }
            }
            query.before = page.next;
            if query.before.is_none() {
                return;
            }
        }
    }

    /// The type of a delivery's event, and whether it was sent by name.
    pub(super) fn ledger_type(&self, id: DeliveryId) -> (&str, bool) {
        let row = &self.ledger.rows[&id];
        (&row.event_type, row.by_name)
    }

    /// A gate was stored: from now on whoever reads its endpoint knows.
    fn account_gates(&mut self, node: usize, gates: &[EndpointGate]) {
        for gate in gates {
            let record = done(self.storage.endpoint_record(&gate.endpoint_id)).unwrap();
            let Some(record) = record else { continue };
            if gate.epoch.is_some_and(|epoch| epoch < record.gate.epoch) {
                continue;
            }
            let model = &mut self.nodes[node].model;
            for (key, lane) in &mut model.lanes {
                if key.0 != gate.endpoint_id {
                    continue;
                }
                let is_disable = matches!(gate.change, GateChange::Disable(_));
                let until = match gate.change {
                    GateChange::Hold { until } => Some(until),
                    _ => None,
                };
                for held in lane.holds.iter_mut().filter(|held| held.revision.is_none()) {
                    let is_it = if held.is_disabled {
                        is_disable
                    } else {
                        Some(held.until) == until
                    };
                    held.revision = is_it.then_some(record.revision);
                }
            }
        }
    }

    /// Every delivery is in one place.
    pub(super) fn check_counts(&self) {
        let counts = done(self.storage.counts(None)).unwrap();
        let ended = counts.delivered + counts.dead + counts.cancelled + counts.purged;
        if counts.enqueued != ended + counts.waiting() {
            fail("enqueued is ended and waiting", format!("{counts:?}"));
        }
    }

    /// Compares the ledger with what the storage has.
    pub(super) fn check_ledger(&self) {
        let query = DeliveryQuery {
            states: vec![DeliveryState::Leased],
            limit: 1_000,
            ..Default::default()
        };
        let page = done(self.storage.deliveries(&query)).unwrap();
        let stored: BTreeSet<_> = page.items.iter().map(|item| item.delivery.id).collect();
        let noted = self
            .ledger
            .rows
            .iter()
            .filter(|(_, row)| row.lease.is_some());
        let noted: BTreeSet<_> = noted.map(|(id, _)| *id).collect();
        if stored != noted {
            fail(
                "the ledger is the storage",
                format!("{stored:?} and {noted:?}"),
            );
        }
    }
}
