use std::sync::Arc;

use rusqlite::params;
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

/// Values are bound by their position: to look up a name costs as much as to bind.
const INSERT: &str = "INSERT INTO webhook_queue (seq, place, id, event, endpoint, incarnation, state, \
    priority, sort_key, sent_at, due_at, updated_at, token, max_retries, worker, reason, by_name, \
    order_key, holds, in_line, attempts, crashes, erased) \
    VALUES (?1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, \
    ?19, 0, 0, 0)";
const UPDATE: &str = "UPDATE webhook_queue SET state = ?2, sort_key = ?3, place = ?4, sent_at = ?5, \
    due_at = ?6, updated_at = ?7, token = ?8, attempts = ?9, crashes = ?10, worker = ?11, \
    reason = ?12, last_status = ?13, last_failure = ?14, in_line = ?15, erased = ?16 WHERE seq = ?1";

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
            params![
                row.seq,
                id.as_bytes().as_slice(),
                row.event,
                row.endpoint,
                row.incarnation,
                state_code(row.state),
                row.priority.level(),
                row.sort_key(),
                row.sent_at.as_millis(),
                row.due_at.as_millis(),
                row.updated_at.as_millis(),
                row.token,
                row.max_retries,
                row.worker,
                row.reason(),
                row.by_name,
                row.order_key,
                row.on_dead == OnDead::Hold,
                row.in_line,
            ],
        )?;
        Ok(())
    }

    pub(crate) fn update_row(&self, row: &Row) -> Result<()> {
        self.execute(
            UPDATE,
            params![
                row.seq,
                state_code(row.state),
                row.sort_key(),
                row.place,
                row.sent_at.as_millis(),
                row.due_at.as_millis(),
                row.updated_at.as_millis(),
                row.token,
                row.attempts,
                row.crashes,
                row.worker,
                row.reason(),
                row.last_status,
                row.last_failure.map(FailureKind::as_str),
                row.in_line,
                row.erased,
            ],
        )?;
        Ok(())
    }
}
