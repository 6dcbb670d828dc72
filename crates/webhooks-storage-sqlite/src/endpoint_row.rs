use std::collections::{BTreeMap, HashMap};

use rusqlite::Connection;
use webhooks_core::storage::spi::EndpointChanges;
use webhooks_core::storage::{EndpointRecord, GateState};
use webhooks_core::{KeptEndpoint, Timestamp, WebhookEndpoint};

use crate::columns::{long, named_at, number_at, some_time_at, time_at};
use crate::error::{Result, unknown};
use crate::state::{State, all, find};

/// An endpoint as it is stored, or its tombstone.
#[derive(Clone, Debug)]
pub(crate) struct EndpointRow {
    pub(crate) seq: i64,
    pub(crate) definition: KeptEndpoint,
    pub(crate) gate: GateState,
    pub(crate) revision: u64,
    pub(crate) definition_revision: u64,
    pub(crate) incarnation: i64,
    pub(crate) is_deleted: bool,
    created_at: Timestamp,
    updated_at: Timestamp,
}

macro_rules! select_endpoints {
    ($rest:expr) => {
        concat!(
            "SELECT seq, id, definition, enabled, secret, headers, previous_secrets, tenant, paused, \
             disabled_by, held_until, max_leased, failing_since, gate_epoch, revision, \
             definition_revision, incarnation, deleted_at, created_at, updated_at \
             FROM webhook_endpoints ",
            $rest
        )
    };
}
const FIND: &str = select_endpoints!("WHERE id = ?1");
const SINCE: &str = select_endpoints!("WHERE revision > ?1 ORDER BY revision LIMIT ?2");

/// The parts of a definition that are not columns by themselves.
pub(crate) struct StoredDefinition {
    /// All of it as JSON, without what has a column.
    pub(crate) definition: String,
    pub(crate) headers: String,
    pub(crate) previous_secrets: String,
}

impl StoredDefinition {
    pub(crate) fn of(endpoint: &WebhookEndpoint) -> Result<Self> {
        let said = |error: serde_json::Error| unknown_json(&error);
        // By name, so that the same headers are the same text.
        let headers: BTreeMap<_, _> = endpoint.headers.iter().collect();
        let bare = KeptEndpoint::from(WebhookEndpoint {
            secret: String::new(),
            headers: HashMap::new(),
            previous_secrets: Vec::new(),
            ..endpoint.clone()
        });
        Ok(Self {
            definition: serde_json::to_string(&*bare).map_err(said)?,
            headers: serde_json::to_string(&headers).map_err(said)?,
            previous_secrets: serde_json::to_string(&endpoint.previous_secrets).map_err(said)?,
        })
    }
}

fn unknown_json(error: &serde_json::Error) -> crate::error::Failure {
    unknown(&format!("a definition ({:?} error)", error.classify()))
}

impl EndpointRow {
    pub(crate) fn tenant(&self) -> Option<&str> {
        self.definition.tenant.as_deref()
    }

    fn of(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        let bad = |at| crate::columns::wrong(at, rusqlite::types::Type::Text);
        let text = |at| row.get_ref(at)?.as_str().map_err(rusqlite::Error::from);
        let mut definition: WebhookEndpoint = serde_json::from_str(text(2)?).map_err(|_| bad(2))?;
        definition.id = row.get(1)?;
        definition.enabled = row.get(3)?;
        definition.secret = row.get(4)?;
        definition.headers = serde_json::from_str(text(5)?).map_err(|_| bad(5))?;
        definition.previous_secrets = serde_json::from_str(text(6)?).map_err(|_| bad(6))?;
        let mut gate = GateState::default();
        gate.paused = row.get(8)?;
        gate.disabled = named_at(row, 9)?;
        gate.held_until = some_time_at(row, 10)?;
        gate.max_leased = row.get(11)?;
        gate.failing_since = some_time_at(row, 12)?;
        gate.epoch = number_at(row, 13)?;
        Ok(Self {
            seq: row.get(0)?,
            definition: definition.into(),
            gate,
            revision: number_at(row, 14)?,
            definition_revision: number_at(row, 15)?,
            incarnation: row.get(16)?,
            is_deleted: row.get::<_, Option<i64>>(17)?.is_some(),
            created_at: time_at(row, 18)?,
            updated_at: time_at(row, 19)?,
        })
    }

    fn into_record(self) -> EndpointRecord {
        let mut record = EndpointRecord::new(self.definition, self.gate);
        record.revision = self.revision;
        record.definition_revision = self.definition_revision;
        record.created_at = self.created_at;
        record.updated_at = self.updated_at;
        record.incarnation = self.incarnation.cast_unsigned();
        record.deleted = self.is_deleted;
        record
    }
}

impl State {
    /// The endpoint with this id, or its tombstone.
    pub(crate) fn endpoint_row(&self, id: &str) -> Result<Option<EndpointRow>> {
        self.find(FIND, [id], EndpointRow::of)
    }
}

/// The endpoint with this id, unless it was deleted.
pub(crate) fn endpoint_record(db: &Connection, id: &str) -> Result<Option<EndpointRecord>> {
    let found = find(db, FIND, [id], EndpointRow::of)?;
    Ok(found
        .filter(|row| !row.is_deleted)
        .map(EndpointRow::into_record))
}

/// The endpoints that changed after a revision.
pub(crate) fn endpoints_since(
    db: &Connection,
    revision: u64,
    limit: usize,
) -> Result<EndpointChanges> {
    let newest: i64 = db.query_row("SELECT revision FROM webhook_meta", [], |row| row.get(0))?;
    // One more tells whether that is all.
    let asked = (long(revision), long(limit.saturating_add(1)));
    let rows = all(db, SINCE, asked, EndpointRow::of)?;
    let more = rows.len() > limit;
    let records: Vec<_> = rows
        .into_iter()
        .take(limit)
        .map(EndpointRow::into_record)
        .collect();
    // With more to come, the reader has to go on behind the last record. Without, it can go to the
    // newest revision, though the records of overtaken changes are gone.
    let last = records.last().map_or(revision, |record| record.revision);
    Ok(EndpointChanges {
        records,
        revision: if more {
            last
        } else {
            newest.cast_unsigned().max(revision)
        },
        more,
    })
}
