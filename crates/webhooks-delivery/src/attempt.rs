//! One request, from its start to the entry of what came of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::AbortHandle;
use tracing::Instrument;
use webhooks_core::storage::{
    DisabledBy, EndpointRecord, GateChange, SettleAs, Settlement, WORKER_DEAD_AFTER,
};
use webhooks_core::{
    Attempt, AttemptRecord, CancelReason, Circuit, CircuitState, Clock, DeliveryResult,
    FailureKind, Outcome, Permit, Timestamp, WebhookDelivery, WebhookError,
};

use crate::dispatcher::Dispatcher;
use crate::lane::{Lane, LaneState};
use crate::load::Load;
use crate::moment;
use crate::notice::Notice;
use crate::outcome::{settle_as, verdict};
use crate::recorder::Entry;
use crate::seat::{self, Seat};

/// The part of the time to auto-disabling after which the operator is warned.
const WARN_AFTER: f64 = 0.8;
/// How long after a hold its limit of leases is still that of a process that probes.
const STALE_LIMIT: Duration = Duration::from_secs(120);

/// One request that runs. However it ends, its slot and its permit are given back and its
/// deliveries are settled.
#[derive(Debug)]
pub(crate) struct Attempting {
    dispatcher: Arc<Dispatcher>,
    lane: Arc<Lane>,
    /// The endpoint as it was then.
    record: Arc<EndpointRecord>,
    load: Option<Load>,
    permit: Option<Box<dyn Permit>>,
    id: u64,
    started_at: Timestamp,
    /// The leases under which it started.
    era: u64,
}

impl Attempting {
    pub(crate) fn new(
        dispatcher: Arc<Dispatcher>,
        lane: Arc<Lane>,
        record: Arc<EndpointRecord>,
        load: Load,
        permit: Box<dyn Permit>,
        id: u64,
        started_at: Timestamp,
    ) -> Self {
        let era = dispatcher.heartbeat.era();
        Self {
            dispatcher,
            lane,
            record,
            load: Some(load),
            permit: Some(permit),
            id,
            started_at,
            era,
        }
    }

    /// Makes the request, and those that follow it in its task.
    pub(crate) async fn run(mut self) {
        while let Some(next) = self.make().await {
            self = next;
        }
    }

    /// Makes the request. What follows it in its task.
    async fn make(&mut self) -> Option<Self> {
        let load = self.load.as_ref()?;
        let parcel = load.parcel(self.started_at);
        let attempt = Attempt {
            endpoint: &self.record.endpoint,
            event_id: parcel.event_id,
            event_type: parcel.event_type,
            delivery_id: parcel.delivery_id,
            number: parcel.number,
            body: &parcel.body,
            now: self.started_at,
            timeout: self.dispatcher.settings.timeout_of(&self.record.endpoint),
            whole_response: false,
        };
        let span = tracing::info_span!(
            "attempt",
            endpoint_id = %self.lane.endpoint_id,
            event_id = %parcel.event_id,
            delivery_id = %parcel.delivery_id,
            attempt = parcel.number,
        );
        let result = self
            .dispatcher
            .transport
            .send(&attempt)
            .instrument(span.clone())
            .await;
        span.in_scope(|| log(result.as_ref()));
        drop(parcel);
        let mut seat = Seat::new(match result {
            Ok(result) => self.end(&result),
            Err(_) => self.end_untried(),
        });
        self.dispatcher.dispatch_from(&mut seat);
        seat.into_next()
    }

    /// Settles what the request carried. Its task is free.
    fn end(&mut self, result: &DeliveryResult) -> Option<AbortHandle> {
        let (load, permit) = (self.load.take()?, self.permit.take()?);
        let dispatcher = &self.dispatcher;
        let moment = moment::now();
        let now = dispatcher.clock.at(moment);
        let circuit = verdict(result).and_then(|verdict| permit.settle(verdict, now));

        let mut state = self.lane.lock();
        state.tried();
        let is_there = self.is_there(&state);
        if let Some(circuit) = circuit.filter(|_| is_there) {
            self.circuit_changed(&mut state, circuit);
        }
        if let Some(wait) = result.retry_after.filter(|_| is_there) {
            state.start_from(1);
            self.hold(&mut state, now.after(wait));
        }
        match (load, result.failure()) {
            (load @ Load::Batch(_), Some(FailureKind::ClientError | FailureKind::TooLarge)) => {
                state.put_back(load, true);
            }
            (load, _) => {
                if is_there {
                    self.health(&mut state, result, now);
                }
                for delivery in load.into_deliveries() {
                    self.settle(&mut state, delivery, result, now);
                }
            }
        }
        let task = state.ended(self.id, result.is_delivered(), moment);
        dispatcher.slot_freed(&self.lane, &mut state, moment);
        self.forget_changed(&state);
        if !state.is_open(now) || !dispatcher.still_holds(self.era) {
            dispatcher.give_back(&self.lane, &mut state, now);
        }
        task
    }

    /// Gives back what the request carried, not counted: it was not sent, which says nothing of the
    /// endpoint. Its lane pauses, or all would be claimed and given back for as long as that lasts.
    fn end_untried(&mut self) -> Option<AbortHandle> {
        let load = self.load.take()?;
        // Without a verdict.
        drop(self.permit.take());
        let dispatcher = &self.dispatcher;
        let moment = moment::now();
        let now = dispatcher.clock.at(moment);
        let mut state = self.lane.lock();
        let until = now.after(state.untried());
        state.put_back(load, false);
        if self.is_there(&state) {
            self.hold(&mut state, until);
        }
        dispatcher.give_back(&self.lane, &mut state, now);
        let task = state.ended(self.id, false, moment);
        dispatcher.slot_freed(&self.lane, &mut state, moment);
        self.forget_changed(&state);
        task
    }

    /// Lets the transport forget an endpoint that was changed or deleted once more: it was told so,
    /// but since then this request may have made it keep that definition again, with its keys.
    fn forget_changed(&self, state: &LaneState) {
        if state.record.deleted || !Arc::ptr_eq(&state.record.endpoint, &self.record.endpoint) {
            self.dispatcher.transport.forget(&self.lane.endpoint_id);
        }
    }

    /// Whether the endpoint is still where the request went, and nobody has reset its health since:
    /// what another place responds, or has responded before that, says nothing of it.
    fn is_there(&self, state: &LaneState) -> bool {
        let record = &state.record;
        !record.deleted
            && record.endpoint.url == self.record.endpoint.url
            && record.gate.epoch == self.record.gate.epoch
    }

    fn settle(
        &self,
        state: &mut LaneState,
        delivery: WebhookDelivery,
        result: &DeliveryResult,
        now: Timestamp,
    ) {
        let Some(lease) = &delivery.lease else { return };
        let number = delivery.attempts.saturating_add(1);
        if number > 1 {
            state.attempts.retried();
        }
        match result.outcome {
            Outcome::Delivered => state.attempts.succeeded(result.duration),
            Outcome::Failed(_) => state.attempts.failed(),
        }
        let retries = &self.dispatcher.settings.retry_strategy;
        let settle_as = match settle_as(retries, &delivery, result, now) {
            SettleAs::Retry { .. } if !state.takes(&delivery) => SettleAs::Cancelled {
                reason: CancelReason::TypeNotTaken,
            },
            settle_as => settle_as,
        };
        self.dispatcher.recorder.record(Entry::Settle {
            settlement: Settlement {
                delivery_id: delivery.id,
                endpoint_id: delivery.endpoint_id,
                token: lease.token,
                settle_as,
                attempt: Some(AttemptRecord {
                    delivery_id: delivery.id,
                    number,
                    started_at: self.started_at,
                    duration: result.duration,
                    status: result.status,
                    failure: result.failure(),
                    response: result.response.clone(),
                    ambiguous: false,
                }),
            },
            event: delivery.event,
            lane: Some(self.lane.clone()),
        });
    }

    /// Parks the endpoint while its circuit is open, for other processes too.
    fn circuit_changed(&self, state: &mut LaneState, circuit: Circuit) {
        let endpoint_id = &self.lane.endpoint_id;
        tracing::info!(%endpoint_id, state = ?circuit.state, "circuit changed");
        let limit = match circuit.state {
            CircuitState::Closed => None,
            CircuitState::Open | CircuitState::HalfOpen => {
                Some(self.dispatcher.settings.half_open_max_requests)
            }
        };
        let changed = Notice::CircuitChanged {
            endpoint_id: endpoint_id.clone(),
            circuit,
        };
        self.gate(state, GateChange::LimitLeased(limit), Some(changed));
        // From as many as probed the endpoint on.
        state.start_from(self.dispatcher.settings.half_open_max_requests);
        if let Some(until) = circuit.reopens_at {
            self.hold(state, until);
        }
    }

    fn hold(&self, state: &mut LaneState, until: Timestamp) {
        state.hold(until);
        self.gate(state, GateChange::Hold { until }, None);
    }

    /// Keeps track of how long the endpoint has only failed, and disables one that is gone or has
    /// failed for too long.
    fn health(&self, state: &mut LaneState, result: &DeliveryResult, now: Timestamp) {
        let endpoint_id = &self.lane.endpoint_id;
        let Some(failure) = result.failure() else {
            self.lift_stale_limit(state, now);
            state.succeeded_at = Some(now);
            if state.failing_since.take().is_some() {
                state.warned = false;
                self.gate(state, GateChange::Recovered, None);
            }
            return;
        };
        if failure == FailureKind::Gone {
            return self.disable(state, DisabledBy::Gone, now);
        }
        if state.failing_since.is_none() {
            self.gate(state, GateChange::FailingSince(now), None);
        }
        let since = *state.failing_since.get_or_insert(now);
        let Some(after) = self.dispatcher.settings.auto_disable_after else {
            return;
        };
        if now.since(since) >= after {
            self.disable(state, DisabledBy::Failing, now);
        } else if !state.warned && now.since(since) >= after.mul_f64(WARN_AFTER) {
            state.warned = true;
            let disabled_at = since.after(after);
            tracing::warn!(%endpoint_id, %since, %disabled_at, "endpoint will be disabled");
            let endpoint_id = endpoint_id.clone();
            self.dispatcher.notices.tell(|| Notice::EndpointFailing {
                endpoint_id,
                since,
                disabled_at,
            });
        }
    }

    /// Lifts the limit of leases that a process left behind when it died with an open circuit.
    fn lift_stale_limit(&self, state: &mut LaneState, now: Timestamp) {
        let gate = &state.record.gate;
        let is_stale = gate.max_leased.is_some()
            && gate
                .held_until
                .is_none_or(|until| now.since(until) > STALE_LIMIT);
        let circuit = || {
            self.dispatcher
                .admission
                .circuit(&self.lane.endpoint_id, now)
        };
        if is_stale && circuit().state == CircuitState::Closed {
            Arc::make_mut(&mut state.record).gate.max_leased = None;
            self.gate(state, GateChange::LimitLeased(None), None);
        }
    }

    fn disable(&self, state: &mut LaneState, by: DisabledBy, now: Timestamp) {
        if state.record.gate.disabled == Some(by) {
            // Another of its requests in flight has done it.
            return;
        }
        Arc::make_mut(&mut state.record).gate.disabled = Some(by);
        // Until the recorder has stored it and the directory has read it.
        state.hold(now.after(WORKER_DEAD_AFTER));
        let endpoint_id = self.lane.endpoint_id.clone();
        tracing::warn!(%endpoint_id, ?by, "endpoint is disabled");
        self.gate(
            state,
            GateChange::Disable(by),
            Some(Notice::EndpointDisabled { endpoint_id, by }),
        );
    }

    fn gate(&self, state: &LaneState, change: GateChange, notice: Option<Notice>) {
        self.dispatcher
            .change_gate(&self.lane, state, change, notice);
    }
}

impl Drop for Attempting {
    /// Reached with a load only when the task was aborted, panicked inside the transport, or was
    /// refused by a runtime that ends: then nobody is left to settle anything.
    fn drop(&mut self) {
        if self.load.is_none() || seat::is_spawning() {
            return;
        }
        let now = self.dispatcher.clock.now();
        if !self.dispatcher.is_stopping() {
            self.end(&DeliveryResult {
                outcome: Outcome::Failed(FailureKind::Reset),
                status: None,
                started_at: self.started_at,
                duration: now.since(self.started_at),
                retry_after: None,
                response: Bytes::new(),
            });
            return self.dispatcher.dispatch();
        }
        if let Some(load) = self.load.take() {
            let mut state = self.lane.lock();
            state.put_back(load, false);
            self.dispatcher.give_back(&self.lane, &mut state, now);
            let moment = moment::now();
            state.ended(self.id, false, moment);
            self.dispatcher.slot_freed(&self.lane, &mut state, moment);
        }
    }
}

fn log(result: Result<&DeliveryResult, &WebhookError>) {
    let result = match result {
        Ok(result) => result,
        Err(error) => return tracing::info!(%error, "not tried"),
    };
    let duration_ms = result.duration.as_millis();
    match result.failure() {
        None => tracing::debug!(status = result.status, duration_ms, "delivered"),
        Some(failure) => {
            tracing::info!(status = result.status, duration_ms, %failure, "attempt failed");
        }
    }
}
