//! Definitions of endpoints, as they are given, with tombstones and revisions.

use rusqlite::named_params;
use webhooks_core::storage::{Deleted, Expected, GateState, Saved};
use webhooks_core::{Timestamp, WebhookEndpoint};

use crate::columns::long;
use crate::endpoint_row::{EndpointRow, StoredDefinition};
use crate::error::Result;
use crate::state::State;

const SAVE: &str = "INSERT INTO webhook_endpoints (seq, id, definition, enabled, secret, headers, \
    previous_secrets, tenant, disabled_by, gate_epoch, revision, definition_revision, incarnation, \
    created_at, updated_at) \
    VALUES (:seq, :id, :definition, :enabled, :secret, :headers, :previous_secrets, :tenant, \
    :disabled_by, :gate_epoch, :revision, :revision, :incarnation, :now, :now) \
    ON CONFLICT (id) DO UPDATE SET definition = :definition, enabled = :enabled, secret = :secret, \
    headers = :headers, previous_secrets = :previous_secrets, tenant = :tenant, \
    disabled_by = :disabled_by, gate_epoch = :gate_epoch, revision = :revision, \
    definition_revision = :revision, incarnation = :incarnation, updated_at = :now, \
    created_at = CASE WHEN deleted_at IS NULL THEN created_at ELSE :now END, \
    stranded = max(stranded, :replaces), deleted_at = NULL";
const SAVE_SECRETS: &str = "UPDATE webhook_endpoints SET secret = ?2, previous_secrets = ?3, \
    revision = ?4, definition_revision = ?4, updated_at = ?5 WHERE seq = ?1";
/// Neither the revision nor `updated_at` moves: the definition is what it was. What somebody saved
/// since it was read is left alone.
const REWRITE: &str = "UPDATE webhook_endpoints SET secret = ?2, headers = ?3, \
    previous_secrets = ?4 WHERE id = ?1 AND deleted_at IS NULL \
    AND secret = ?5 AND headers = ?6 AND previous_secrets = ?7";
/// The secrets go at once; what waits is cancelled behind it, in pieces.
const BURY: &str = "UPDATE webhook_endpoints SET definition = '{}', enabled = 0, secret = '', \
    headers = '{}', previous_secrets = '[]', paused = 0, disabled_by = NULL, held_until = NULL, \
    max_leased = NULL, failing_since = NULL, revision = ?2, definition_revision = ?2, \
    deleted_at = ?3, stranded = 1 WHERE seq = ?1";
/// What a claim has to know of an endpoint, from where it is kept.
const LANE: &str = "INSERT INTO webhook_lanes (endpoint, incarnation, open, held_until, max_leased, \
    batch_events, batch_wait, rate, burst) \
    SELECT seq, incarnation, enabled AND NOT paused AND deleted_at IS NULL, held_until, max_leased, \
    definition ->> '$.batch.max_events', definition ->> '$.batch.max_wait_ms', \
    definition ->> '$.rate_limit.requests_per_second', definition ->> '$.rate_limit.burst_size' \
    FROM webhook_endpoints WHERE seq = ?1 \
    ON CONFLICT (endpoint) DO UPDATE SET incarnation = excluded.incarnation, open = excluded.open, \
    held_until = excluded.held_until, max_leased = excluded.max_leased, \
    batch_events = excluded.batch_events, batch_wait = excluded.batch_wait, \
    rate = excluded.rate, burst = excluded.burst";

impl State {
    /// Saves a definition over what is expected. Check and save are one step: of two processes that
    /// register one id, one gets the conflict. With whether an earlier incarnation ends.
    pub(crate) fn save_definition(
        &mut self,
        endpoint: &WebhookEndpoint,
        expected: Expected,
        now: Timestamp,
    ) -> Result<(Saved, bool)> {
        let known = self.endpoint_row(&endpoint.id)?;
        // A tombstone counts as absent: its id may be registered anew.
        let live = known.as_ref().filter(|row| !row.is_deleted);
        if !expected.is_met_by(live.map(|row| row.definition_revision)) {
            return Ok((Saved::Conflict, false));
        }
        // The same endpoint goes on only if it lives and stays with its tenant. Otherwise what
        // waits was made for somebody else, and is cancelled.
        let stays = live.is_some_and(|row| row.tenant() == endpoint.tenant.as_deref());
        let replaces = !stays && known.is_some();
        let mut gate = known
            .as_ref()
            .map_or_else(GateState::default, |row| row.gate.clone());
        // Saving it as enabled is what lifts a disabling, also that of an unverified endpoint.
        if endpoint.enabled {
            gate.disabled = None;
        }
        // What is decided by what an earlier one answers is void.
        gate.epoch += u64::from(replaces);
        let (seq, incarnation) = match &known {
            Some(row) if stays => (row.seq, row.incarnation),
            Some(row) => (row.seq, self.next(|n| &mut n.incarnations)?),
            None => (
                self.next(|n| &mut n.endpoint)?,
                self.next(|n| &mut n.incarnations)?,
            ),
        };
        let revision = self.next(|n| &mut n.revision)?;
        let stored = StoredDefinition::of(endpoint)?;
        self.execute(
            SAVE,
            named_params! {
                ":seq": seq, ":id": endpoint.id, ":definition": stored.definition,
                ":enabled": endpoint.enabled, ":secret": endpoint.secret,
                ":headers": stored.headers, ":previous_secrets": stored.previous_secrets,
                ":tenant": endpoint.tenant, ":disabled_by": gate.disabled.map(|by| by.as_str()),
                ":gate_epoch": long(gate.epoch), ":revision": revision,
                ":incarnation": incarnation, ":now": now.as_millis(), ":replaces": replaces,
            },
        )?;
        self.define(seq)?;
        Ok((Saved::Stored(revision.cast_unsigned()), replaces))
    }

    /// Replaces the secrets alone: what a gate or another process has changed of the rest meanwhile
    /// stays.
    pub(crate) fn save_secrets(
        &mut self,
        endpoint: &WebhookEndpoint,
        expected: u64,
        now: Timestamp,
    ) -> Result<Saved> {
        let known = self.endpoint_row(&endpoint.id)?;
        let is_expected =
            |row: &EndpointRow| !row.is_deleted && row.definition_revision == expected;
        let Some(row) = known.filter(is_expected) else {
            return Ok(Saved::Conflict);
        };
        let revision = self.next(|n| &mut n.revision)?;
        let previous = StoredDefinition::of(endpoint)?.previous_secrets;
        let params = (
            row.seq,
            &endpoint.secret,
            previous,
            revision,
            now.as_millis(),
        );
        self.execute(SAVE_SECRETS, params)?;
        self.define(row.seq)?;
        Ok(Saved::Stored(revision.cast_unsigned()))
    }

    /// Nothing moves: to nobody is it another definition.
    pub(crate) fn rewrite_credentials(
        &mut self,
        stored: &WebhookEndpoint,
        rewritten: &WebhookEndpoint,
    ) -> Result<bool> {
        let (old, new) = (
            StoredDefinition::of(stored)?,
            StoredDefinition::of(rewritten)?,
        );
        let params = (
            &stored.id,
            &rewritten.secret,
            new.headers,
            new.previous_secrets,
            &stored.secret,
            old.headers,
            old.previous_secrets,
        );
        Ok(self.execute(REWRITE, params)? > 0)
    }

    /// Leaves a tombstone. What waits is cancelled by
    /// [`cancel_stranded`](Self::cancel_stranded).
    pub(crate) fn delete_endpoint(
        &mut self,
        id: &str,
        expected: Expected,
        now: Timestamp,
    ) -> Result<Deleted> {
        // A tombstone is as absent as what never was.
        let Some(row) = self.endpoint_row(id)?.filter(|row| !row.is_deleted) else {
            return Ok(Deleted::Absent);
        };
        if !expected.is_met_by(Some(row.definition_revision)) {
            return Ok(Deleted::Conflict);
        }
        let revision = self.next(|n| &mut n.revision)?;
        self.execute(BURY, (row.seq, revision, now.as_millis()))?;
        self.define(row.seq)?;
        Ok(Deleted::Deleted)
    }

    /// Follows a change of a definition.
    fn define(&mut self, seq: i64) -> Result<()> {
        self.note_definition();
        self.memory.endpoints.clear();
        self.write_lane(seq)
    }

    /// Follows a change of a definition or a gate: claims look at the lane alone.
    pub(crate) fn write_lane(&mut self, seq: i64) -> Result<()> {
        self.wake = true;
        self.execute(LANE, [seq]).map(drop)
    }

    /// Drops tombstones that nothing refers to and that every process has had the time to see. Their
    /// totals go to those of all that are forgotten.
    pub(crate) fn drop_tombstones(&mut self, cutoff: Timestamp, limit: usize) -> Result<()> {
        const OLD: &str = "SELECT seq FROM webhook_endpoints WHERE deleted_at <= ?1 \
            AND NOT EXISTS (SELECT 1 FROM webhook_queue WHERE endpoint = seq) LIMIT ?2";
        const ADD: &str = "UPDATE webhook_lanes SET enqueued = webhook_lanes.enqueued + l.enqueued, \
            delivered = webhook_lanes.delivered + l.delivered, dead = webhook_lanes.dead + l.dead, \
            cancelled = webhook_lanes.cancelled + l.cancelled, \
            purged = webhook_lanes.purged + l.purged \
            FROM webhook_lanes l WHERE webhook_lanes.endpoint = 0 AND l.endpoint = ?1";
        let old = self.all(OLD, (cutoff.as_millis(), long(limit)), |row| {
            row.get::<_, i64>(0)
        })?;
        for seq in &old {
            self.write_counts()?;
            self.execute(ADD, [seq])?;
            self.execute("DELETE FROM webhook_lanes WHERE endpoint = ?1", [seq])?;
            self.execute("DELETE FROM webhook_endpoints WHERE seq = ?1", [seq])?;
        }
        if !old.is_empty() {
            self.memory.endpoints.clear();
            self.memory.endpoint_ids.clear();
        }
        Ok(())
    }
}
