//! Finding the endpoints that deliveries are for.

use std::sync::Arc;

use rusqlite::OptionalExtension;
use webhooks_core::storage::spi::NewDelivery;

use crate::error::{Result, unknown};
use crate::known_endpoint::KnownEndpoint;
use crate::state::State;

const FIND: &str =
    "SELECT seq, incarnation, deleted_at IS NOT NULL FROM webhook_endpoints WHERE id = ?1";
const ID: &str = "SELECT id FROM webhook_endpoints WHERE seq = ?1";

impl State {
    /// The endpoint with this id, tombstones too. Remembered until anybody changes a definition.
    pub(crate) fn endpoint(&mut self, id: &str) -> Result<Option<KnownEndpoint>> {
        if let Some(known) = self.memory.endpoints.get(id) {
            return Ok(Some(*known));
        }
        let found = self.find(FIND, [id], |row| {
            Ok(KnownEndpoint {
                seq: row.get(0)?,
                incarnation: row.get(1)?,
                is_deleted: row.get(2)?,
            })
        })?;
        if let Some(found) = found {
            self.memory.endpoints.insert(id.into(), found);
        }
        Ok(found)
    }

    /// The id of an endpoint, which never changes.
    pub(crate) fn endpoint_id(&mut self, seq: i64) -> Result<Arc<str>> {
        if let Some(id) = self.memory.endpoint_ids.get(&seq) {
            return Ok(Arc::clone(id));
        }
        let id: Option<Arc<str>> = self
            .db
            .prepare_cached(ID)?
            .query_row([seq], |row| row.get(0))
            .optional()?;
        let id = id.ok_or_else(|| unknown("the endpoint of a delivery"))?;
        self.memory.endpoint_ids.insert(seq, Arc::clone(&id));
        Ok(id)
    }

    /// The endpoint that a delivery is for, if that very one is there.
    ///
    /// A sender matches by definitions that may be a second old. Without the incarnation, an event
    /// of the earlier tenant would go to the later one.
    pub(crate) fn recipient(&mut self, delivery: &NewDelivery) -> Result<Option<KnownEndpoint>> {
        let found = self.endpoint(&delivery.endpoint_id)?;
        let is_same = |found: &KnownEndpoint| {
            let wanted = delivery.incarnation;
            wanted.is_none_or(|wanted| u64::try_from(found.incarnation) == Ok(wanted))
        };
        Ok(found.filter(|found| !found.is_deleted && is_same(found)))
    }
}
