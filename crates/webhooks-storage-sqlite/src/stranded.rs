//! Cancelling what waits for an endpoint that was deleted or replaced, in pieces: a backlog of a
//! million is not one transaction.

use webhooks_core::{CancelReason, DeliveryId, Timestamp};

use crate::columns::long;
use crate::error::{Result, unknown};
use crate::row::{Row, select_rows};
use crate::state::State;

/// Rows that one piece looks at.
pub(crate) const PIECE: usize = 1_000;

const WAITING: &str =
    select_rows!("FROM webhook_queue q WHERE q.endpoint = ?1 AND q.id > ?2 ORDER BY q.id LIMIT ?3");
const ENDPOINT: &str =
    "SELECT deleted_at IS NOT NULL, incarnation FROM webhook_endpoints WHERE seq = ?1";
const DONE: &str = "UPDATE webhook_endpoints SET stranded = 0 WHERE seq = ?1 AND stranded = 1";

const STRANDED: &str = "SELECT e.deleted_at IS NOT NULL, e.incarnation, v.payload IS NULL \
    FROM webhook_endpoints e JOIN webhook_events v ON v.seq = ?2 WHERE e.seq = ?1";

impl State {
    /// Why a row cannot wait for its endpoint any more, if it cannot.
    ///
    /// Asked wherever a leased or dead delivery could wait again. Sending it to an endpoint that was
    /// replaced meanwhile would give one tenant's events to another.
    pub(crate) fn stranded(&self, row: &Row) -> Result<Option<CancelReason>> {
        if row.erased {
            return Ok(Some(CancelReason::Erased));
        }
        let found = self.find(STRANDED, [row.endpoint, row.event], |found| {
            Ok((found.get(0)?, found.get(1)?, found.get(2)?))
        })?;
        let (is_deleted, incarnation, is_erased): (bool, i64, bool) =
            found.ok_or_else(|| unknown("the endpoint or the event of a delivery"))?;
        // The payload first: without it, there is nothing to send to whomever.
        Ok(match (is_erased, is_deleted) {
            (true, _) => Some(CancelReason::Erased),
            (_, true) => Some(CancelReason::EndpointDeleted),
            _ if incarnation != row.incarnation => Some(CancelReason::EndpointReplaced),
            _ => None,
        })
    }

    /// Looks at one piece of an endpoint's deliveries behind this id, and cancels what waits for an
    /// incarnation that is no more. Where to go on, if there is more.
    pub(crate) fn cancel_stranded(
        &mut self,
        endpoint: i64,
        after: DeliveryId,
        now: Timestamp,
    ) -> Result<Option<DeliveryId>> {
        let found = self.find(ENDPOINT, [endpoint], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let Some((is_deleted, incarnation)): Option<(bool, i64)> = found else {
            return Ok(None);
        };
        let reason = match is_deleted {
            true => CancelReason::EndpointDeleted,
            false => CancelReason::EndpointReplaced,
        };
        let params = (endpoint, after.as_uuid().into_bytes(), long(PIECE));
        let numbers = self.all(WAITING, params, Row::of)?;
        let last = numbers.last().map(|row| row.id);
        for mut row in numbers.iter().cloned() {
            if !row.is_idle() || !is_deleted && row.incarnation == incarnation {
                continue;
            }
            // One that was blocked may have become the head by the end of the one before it.
            if row.order_key.is_some() {
                let Some(fresh) = self.row_at(row.seq)? else {
                    continue;
                };
                row = fresh;
            }
            self.cancel(&mut row, reason, now)?;
        }
        if numbers.len() == PIECE {
            return Ok(last);
        }
        // Nothing waits for an earlier incarnation any more: none can be stored.
        self.execute(DONE, [endpoint])?;
        Ok(None)
    }

    /// Some endpoints of which what waits is to be cancelled: what a process that died has left.
    pub(crate) fn stranded_endpoints(&self) -> Result<Vec<i64>> {
        const SQL: &str = "SELECT seq FROM webhook_endpoints WHERE stranded = 1 LIMIT 10";
        self.all(SQL, [], |row| row.get(0))
    }
}
