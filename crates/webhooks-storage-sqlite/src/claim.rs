//! Leasing: in turn between endpoints, by sort key within one.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use webhooks_core::storage::spi::{Claim, Claimed};
use webhooks_core::{
    CancelReason, DeliveryOrder, DeliveryState, Lease, Timestamp, WebhookDelivery, WebhookEvent,
    WorkerId,
};

use crate::columns::long;
use crate::error::Result;
use crate::lane::PAGE;
use crate::lane_queue::LaneQueue;
use crate::row::{Row, select_rows};
use crate::state::State;

/// Scheduled deliveries that one claim makes ready at most, so that a million of them that become
/// due together do not stop everybody else.
const MOST_PROMOTED: usize = 2_000;

const DUE: &str = select_rows!(
    "FROM webhook_queue q INDEXED BY idx_webhook_queue_due \
     WHERE q.state = 2 AND q.due_at <= ?1 ORDER BY q.due_at, q.place LIMIT ?2"
);
const NEXT_DUE: &str = "SELECT due_at FROM webhook_queue INDEXED BY idx_webhook_queue_due \
    WHERE state = 2 ORDER BY due_at LIMIT 1";

/// A claim on its way.
struct Claiming<'a> {
    claim: &'a Claim<'a>,
    worker: i64,
    /// What was said of single endpoints.
    room: HashMap<i64, usize>,
    suspects: usize,
    taken: Vec<WebhookDelivery>,
    events: HashMap<i64, Arc<WebhookEvent>>,
    next_due: Option<Timestamp>,
    /// The endpoints with something left, in the order of their turns.
    queues: Vec<LaneQueue>,
}

impl State {
    /// Leases what is ready, in turn between endpoints, and says when there may be more.
    pub(crate) fn claim(&mut self, claim: &Claim<'_>) -> Result<Claimed> {
        // Before the turns: what has become due competes with what was ready, by priority and not
        // by the time at which it was noticed.
        self.promote(claim.now)?;
        self.write_counts()?;
        let mut claiming = self.begin_claim(claim)?;
        self.first_round(&mut claiming)?;
        self.further_rounds(&mut claiming)?;
        self.note_rest(&mut claiming)?;
        // What was left over by a bounded promotion is due in the past: the caller asks again at
        // once.
        let scheduled = self
            .find(NEXT_DUE, [], |row| row.get(0))?
            .map(Timestamp::from_millis);
        Ok(Claimed {
            next_due: claiming.next_due.into_iter().chain(scheduled).min(),
            deliveries: claiming.taken,
        })
    }

    fn begin_claim<'a>(&mut self, claim: &'a Claim<'a>) -> Result<Claiming<'a>> {
        let mut room = HashMap::with_capacity(claim.room.len());
        for of in claim.room {
            // Endpoints that are not there are passed over: the caller's picture may be older.
            if let Some(endpoint) = self.endpoint(&of.endpoint_id)? {
                room.insert(endpoint.seq, of.deliveries);
            }
        }
        Ok(Claiming {
            claim,
            // Makes the worker known, so that its silence is noticed though it has never beaten.
            worker: self.worker(claim.worker, claim.now)?,
            room,
            suspects: claim.poison_suspects,
            taken: Vec::new(),
            events: HashMap::new(),
            next_due: None,
            queues: Vec::new(),
        })
    }

    /// Walks the lanes once from where the last claim ended, and gives each its first turn.
    fn first_round(&mut self, claiming: &mut Claiming<'_>) -> Result<()> {
        let begin = self.cursor;
        for (first, last) in [(begin, i64::MAX), (0, begin)] {
            let mut after = first;
            loop {
                let lanes = self.claimable(after, last)?;
                let is_last = lanes.len() < PAGE;
                let piece = claiming.claim.limit / lanes.len().max(1) + 1;
                for lane in lanes {
                    if claiming.taken.len() >= claiming.claim.limit {
                        // Not all was looked at: too early a time is right, too late a one is not.
                        claiming.note_due(claiming.claim.now);
                        return Ok(());
                    }
                    after = lane.endpoint;
                    let Some(mut queue) = self.open_lane(claiming, lane)? else {
                        continue;
                    };
                    if self.turn(claiming, &mut queue, piece)? {
                        claiming.queues.push(queue);
                    }
                }
                if is_last {
                    break;
                }
            }
        }
        Ok(())
    }

    /// The queue of a lane, unless a hold, a batch that fills or a lack of room keeps it back.
    fn open_lane(
        &mut self,
        claiming: &mut Claiming<'_>,
        lane: crate::lane::Lane,
    ) -> Result<Option<LaneQueue>> {
        let claim = claiming.claim;
        if let Some(until) = lane.held_until.filter(|until| *until > claim.now) {
            claiming.note_due(until);
            return Ok(None);
        }
        let usual = claim.per_endpoint.saturating_mul(lane.per_turn());
        let room = claiming.room.get(&lane.endpoint).copied().unwrap_or(usual);
        let pace = lane.pace(claim.rate_limit, claim.now);
        let tokens = pace.map_or(usize::MAX, |pace| pace.tokens(claim.now));
        if let Some(pace) = pace.filter(|_| tokens == 0) {
            claiming.note_due(pace.next_token());
            return Ok(None);
        }
        let room = room.min(tokens.saturating_mul(lane.per_turn()));
        let allowance = self.allowance(&lane, room, claim.now)?;
        if let Some(until) = allowance.filling_until {
            claiming.note_due(until);
        }
        Ok((allowance.all > 0).then(|| LaneQueue::new(lane, allowance, pace)))
    }

    /// Gives those that have more one turn after another, until the limit is met.
    fn further_rounds(&mut self, claiming: &mut Claiming<'_>) -> Result<()> {
        let mut queues = std::mem::take(&mut claiming.queues);
        while !queues.is_empty() && claiming.taken.len() < claiming.claim.limit {
            let piece = claiming.claim.limit / queues.len() + 1;
            let mut rest = Vec::with_capacity(queues.len());
            for mut queue in queues {
                let is_full = claiming.taken.len() >= claiming.claim.limit;
                if !is_full && self.turn(claiming, &mut queue, piece)? {
                    rest.push(queue);
                } else if is_full {
                    // Kept for the look at what is left.
                    rest.push(queue);
                }
            }
            queues = rest;
        }
        claiming.queues = queues;
        Ok(())
    }

    /// One turn: one delivery, or one batch, which comes whole though it may pass the limit. It is one
    /// request. Whether there was something.
    fn turn(
        &mut self,
        claiming: &mut Claiming<'_>,
        queue: &mut LaneQueue,
        piece: usize,
    ) -> Result<bool> {
        let now = claiming.claim.now;
        if queue.pace.is_some_and(|pace| pace.tokens(now) == 0) {
            return Ok(false);
        }
        let mut count = 0;
        while count < queue.lane.per_turn() {
            let piece = piece.max(queue.lane.per_turn());
            let Some(mut row) = queue.next(self, claiming.suspects > 0, piece)? else {
                break;
            };
            if row.incarnation != queue.lane.incarnation {
                // Made for another endpoint of this id. It is met here before the cancelling that
                // follows the save has come to it.
                self.cancel(&mut row, CancelReason::EndpointReplaced, claiming.claim.now)?;
                continue;
            }
            queue.took(&row);
            claiming.suspects -= usize::from(row.is_suspect());
            let delivery = self.lease(claiming, row)?;
            claiming.taken.push(delivery);
            count += 1;
        }
        if count > 0 {
            self.cursor = queue.lane.endpoint;
            self.spend(claiming, queue)?;
        }
        Ok(count > 0)
    }

    /// Takes the token of one request from the bucket of an endpoint with a rate limit.
    fn spend(&self, claiming: &mut Claiming<'_>, queue: &mut LaneQueue) -> Result<()> {
        const KEEP: &str = "UPDATE webhook_lanes SET full_at = ?2 WHERE endpoint = ?1";
        let now = claiming.claim.now;
        let Some(pace) = &mut queue.pace else {
            return Ok(());
        };
        pace.spend(now);
        let pace = *pace;
        self.execute(KEEP, (queue.lane.endpoint, pace.full_at))?;
        if pace.tokens(now) == 0 && queue.has_more() {
            claiming.note_due(pace.next_token());
        }
        Ok(())
    }

    /// Leases one row under a new token. Tokens of a row only grow, over replays too: whoever held
    /// the row before can change nothing of it any more.
    fn lease(&mut self, claiming: &mut Claiming<'_>, mut row: Row) -> Result<WebhookDelivery> {
        row.token += 1;
        row.worker = Some(claiming.worker);
        self.move_to(&mut row, DeliveryState::Leased, claiming.claim.now)?;
        let event = match claiming.events.get(&row.event) {
            Some(event) => Arc::clone(event),
            None => {
                let event = self.whole_event(row.event)?.event;
                claiming.events.insert(row.event, Arc::clone(&event));
                event
            }
        };
        let endpoint_id = self.endpoint_id(row.endpoint)?;
        let worker = claiming.claim.worker.clone();
        Ok(delivery(&row, event, endpoint_id, Some(worker)))
    }

    /// Notes when a batch is due of what was left.
    fn note_rest(&mut self, claiming: &mut Claiming<'_>) -> Result<()> {
        self.write_counts()?;
        for queue in std::mem::take(&mut claiming.queues) {
            if queue.lane.batch.is_some()
                && let Some(at) = self.rest_is_due(queue.lane.endpoint, claiming.claim.now)?
            {
                claiming.note_due(at);
            }
        }
        Ok(())
    }

    /// Makes the scheduled rows ready whose time has come.
    pub(crate) fn promote(&mut self, now: Timestamp) -> Result<()> {
        let due = self.all(DUE, (now.as_millis(), long(MOST_PROMOTED)), Row::of)?;
        for mut row in due {
            self.move_to(&mut row, DeliveryState::Ready, now)?;
        }
        Ok(())
    }
}

impl Claiming<'_> {
    fn note_due(&mut self, at: Timestamp) {
        self.next_due = self.next_due.into_iter().chain(Some(at)).min();
    }
}

/// The delivery that a row stands for. The endpoint's definition is not in it: the claimer has
/// definitions of its own, and a copy here would hand out secrets with every delivery.
pub(crate) fn delivery(
    row: &Row,
    event: Arc<WebhookEvent>,
    endpoint_id: Arc<str>,
    worker: Option<WorkerId>,
) -> WebhookDelivery {
    let event = match row.erased && !event.payload.is_empty() {
        true => Arc::new(WebhookEvent {
            payload: Bytes::new(),
            ..(*event).clone()
        }),
        false => event,
    };
    WebhookDelivery {
        id: row.id,
        endpoint_id,
        incarnation: row.incarnation.cast_unsigned(),
        by_name: row.by_name,
        order: row.order_key.clone().map(|key| DeliveryOrder {
            key,
            on_dead: row.on_dead,
        }),
        event,
        priority: row.priority,
        due_at: row.due_at,
        attempts: row.attempts,
        max_retries: row.max_retries,
        crashes: row.crashes,
        lease: worker.map(|worker| Lease {
            worker,
            token: row.token.cast_unsigned(),
        }),
        endpoint: None,
    }
}
