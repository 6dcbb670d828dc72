use std::sync::Arc;

use rusqlite::named_params;
use uuid::Uuid;
use webhooks_core::storage::spi::POISON_SUSPECT_CRASHES;
use webhooks_core::{
    CancelReason, DeadReason, DeliveryId, DeliveryState, FailureKind, OnDead, Priority, Timestamp,
};

use crate::columns::{named_at, number_at, state_code, state_of, time_at, uuid_at};
use crate::error::Result;
use crate::state::State;

/// One delivery as it is stored: a row of `webhook_queue`.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) seq: i64,
    pub(crate) id: DeliveryId,
    pub(crate) event: i64,
    pub(crate) endpoint: i64,
    /// Of the endpoint that it is for.
    pub(crate) incarnation: i64,
    pub(crate) state: DeliveryState,
    pub(crate) priority: Priority,
    /// Its place among those of one sort key, and in its order: that of the commits.
    pub(crate) place: i64,
    /// When it was sent or replayed: its turn comes from this.
    pub(crate) sent_at: Timestamp,
    pub(crate) due_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    /// The fencing token: grows with each lease, and is never set back.
    pub(crate) token: i64,
    pub(crate) attempts: u32,
    pub(crate) max_retries: u32,
    /// Holders that died with it.
    pub(crate) crashes: u32,
    /// Who leases it.
    pub(crate) worker: Option<i64>,
    pub(crate) dead_reason: Option<DeadReason>,
    pub(crate) cancel_reason: Option<CancelReason>,
    pub(crate) by_name: bool,
    pub(crate) last_status: Option<u16>,
    pub(crate) last_failure: Option<FailureKind>,
    pub(crate) order_key: Option<Arc<str>>,
    pub(crate) on_dead: OnDead,
    /// It stands in its order and has not left it.
    pub(crate) in_line: bool,
    /// It was erased, though its event may not be.
    pub(crate) erased: bool,
}

/// A statement that reads rows: the columns in the order in which [`Row::of`] reads them, and what
/// follows.
macro_rules! select_rows {
    ($($rest:expr),*) => {
        concat!(
            "SELECT q.seq, q.id, q.event, q.endpoint, q.incarnation, q.state, q.priority, q.place, \
             q.sent_at, q.due_at, q.updated_at, q.token, q.attempts, q.max_retries, q.crashes, \
             q.worker, q.reason, q.by_name, q.last_status, q.last_failure, q.order_key, q.holds, \
             q.in_line, q.erased ",
            $($rest),*
        )
    };
}
pub(crate) use select_rows;

const INSERT: &str = "INSERT INTO webhook_queue (seq, id, event, endpoint, incarnation, state, \
    priority, sort_key, place, sent_at, due_at, updated_at, token, attempts, max_retries, crashes, \
    worker, reason, by_name, order_key, holds, in_line, erased) \
    VALUES (:seq, :id, :event, :endpoint, :incarnation, :state, :priority, :sort_key, :seq, \
    :sent_at, :due_at, :updated_at, :token, 0, :max_retries, 0, :worker, :reason, :by_name, \
    :order_key, :holds, :in_line, 0)";
const UPDATE: &str = "UPDATE webhook_queue SET state = :state, sort_key = :sort_key, \
    place = :place, sent_at = :sent_at, due_at = :due_at, updated_at = :updated_at, \
    token = :token, attempts = :attempts, crashes = :crashes, worker = :worker, reason = :reason, \
    last_status = :last_status, last_failure = :last_failure, in_line = :in_line, \
    erased = :erased WHERE seq = :seq";

impl Row {
    pub(crate) fn of(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        let state = state_of(row, 5)?;
        let is_dead = state == DeliveryState::Dead;
        let is_cancelled = state == DeliveryState::Cancelled;
        Ok(Self {
            seq: row.get(0)?,
            id: DeliveryId::from_uuid(uuid_at(row, 1)?),
            event: row.get(2)?,
            endpoint: row.get(3)?,
            incarnation: row.get(4)?,
            state,
            priority: Priority::from_level(row.get(6)?),
            place: row.get(7)?,
            sent_at: time_at(row, 8)?,
            due_at: time_at(row, 9)?,
            updated_at: time_at(row, 10)?,
            token: row.get(11)?,
            attempts: number_at(row, 12)?,
            max_retries: number_at(row, 13)?,
            crashes: number_at(row, 14)?,
            worker: row.get(15)?,
            dead_reason: if is_dead { named_at(row, 16)? } else { None },
            cancel_reason: if is_cancelled {
                named_at(row, 16)?
            } else {
                None
            },
            by_name: row.get(17)?,
            last_status: row.get(18)?,
            last_failure: named_at(row, 19)?,
            order_key: row.get(20)?,
            on_dead: if row.get(21)? {
                OnDead::Hold
            } else {
                OnDead::Continue
            },
            in_line: row.get(22)?,
            erased: row.get(23)?,
        })
    }

    fn sort_key(&self) -> i64 {
        self.priority.sort_key(self.sent_at)
    }

    fn reason(&self) -> Option<&'static str> {
        let dead = self.dead_reason.map(DeadReason::as_str);
        dead.or_else(|| self.cancel_reason.map(CancelReason::as_str))
    }

    /// Whether it is a poison suspect: it may be what killed those who held it.
    pub(crate) const fn is_suspect(&self) -> bool {
        self.crashes >= POISON_SUSPECT_CRASHES
    }

    /// Whether it waits in the storage alone, with no worker.
    pub(crate) const fn is_idle(&self) -> bool {
        matches!(
            self.state,
            DeliveryState::Blocked | DeliveryState::Ready | DeliveryState::Scheduled
        )
    }

    /// Whether it died in such a way that those behind it in its order wait for it.
    ///
    /// What died of a full backlog never stood in the order, and what expired would hold it for
    /// ever in a queue that nobody looks after.
    pub(crate) fn holds_its_order(&self) -> bool {
        let reason = self.dead_reason;
        let is_own = reason != Some(DeadReason::BacklogFull) && reason != Some(DeadReason::Expired);
        self.state == DeliveryState::Dead && self.on_dead == OnDead::Hold && is_own && !self.erased
    }

    /// Begins a new series: nothing is left of the attempts of the last one but the token, so that
    /// nobody who held it earlier can settle it.
    pub(crate) const fn begin_anew(&mut self, now: Timestamp) {
        (self.attempts, self.crashes) = (0, 0);
        (self.dead_reason, self.cancel_reason) = (None, None);
        (self.last_status, self.last_failure) = (None, None);
        (self.sent_at, self.due_at) = (now, now);
    }
}

impl State {
    /// The row with this id.
    pub(crate) fn row(&self, id: DeliveryId) -> Result<Option<Row>> {
        const SQL: &str = select_rows!("FROM webhook_queue q WHERE q.id = ?1");
        self.find(SQL, [id.as_uuid().as_bytes().as_slice()], Row::of)
    }

    /// The row with this number.
    pub(crate) fn row_at(&self, seq: i64) -> Result<Option<Row>> {
        const SQL: &str = select_rows!("FROM webhook_queue q WHERE q.seq = ?1");
        self.find(SQL, [seq], Row::of)
    }

    pub(crate) fn insert_row(&self, row: &Row) -> Result<()> {
        let id: Uuid = row.id.as_uuid();
        self.execute(
            INSERT,
            named_params! {
                ":seq": row.seq, ":id": id.as_bytes().as_slice(), ":event": row.event,
                ":endpoint": row.endpoint, ":incarnation": row.incarnation,
                ":state": state_code(row.state), ":priority": row.priority.level(),
                ":sort_key": row.sort_key(), ":sent_at": row.sent_at.as_millis(),
                ":due_at": row.due_at.as_millis(), ":updated_at": row.updated_at.as_millis(),
                ":token": row.token, ":max_retries": row.max_retries, ":worker": row.worker,
                ":reason": row.reason(), ":by_name": row.by_name, ":order_key": row.order_key,
                ":holds": row.on_dead == OnDead::Hold, ":in_line": row.in_line,
            },
        )?;
        Ok(())
    }

    pub(crate) fn update_row(&self, row: &Row) -> Result<()> {
        self.execute(
            UPDATE,
            named_params! {
                ":seq": row.seq, ":state": state_code(row.state), ":sort_key": row.sort_key(),
                ":place": row.place, ":sent_at": row.sent_at.as_millis(),
                ":due_at": row.due_at.as_millis(), ":updated_at": row.updated_at.as_millis(),
                ":token": row.token, ":attempts": row.attempts, ":crashes": row.crashes,
                ":worker": row.worker, ":reason": row.reason(), ":last_status": row.last_status,
                ":last_failure": row.last_failure.map(FailureKind::as_str),
                ":in_line": row.in_line, ":erased": row.erased,
            },
        )?;
        Ok(())
    }
}
