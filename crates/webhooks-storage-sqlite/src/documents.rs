//! Small texts under a kind and an id.

use rusqlite::Connection;
use webhooks_core::Timestamp;
use webhooks_core::storage::{Deleted, Document, DocumentQuery, Expected, Saved};

use crate::columns::{long, number_at, some_time_at};
use crate::error::Result;
use crate::state::{State, all, find};

macro_rules! select_documents {
    ($rest:literal) => {
        concat!(
            "SELECT id, value, revision, expires_at FROM webhook_documents WHERE kind = ?1 \
             AND (expires_at IS NULL OR expires_at > ?2) AND ",
            $rest
        )
    };
}
const GET: &str = select_documents!("id = ?3");
const UP: &str = select_documents!("id > ?3 ORDER BY id LIMIT ?4");
const DOWN: &str = select_documents!("id < ?3 ORDER BY id DESC LIMIT ?4");
const DOWN_FROM_LAST: &str = select_documents!("?3 = '' ORDER BY id DESC LIMIT ?4");
const PUT: &str = "INSERT OR REPLACE INTO webhook_documents (kind, id, value, revision, expires_at) \
    VALUES (?1, ?2, ?3, ?4, ?5)";
const DELETE: &str = "DELETE FROM webhook_documents WHERE kind = ?1 AND id = ?2";
const EXPIRE: &str = "DELETE FROM webhook_documents WHERE (kind, id) IN \
    (SELECT kind, id FROM webhook_documents WHERE expires_at <= ?1 LIMIT ?2)";

fn document(row: &rusqlite::Row<'_>) -> rusqlite::Result<Document> {
    let mut document = Document::new(row.get::<_, String>(0)?, row.get::<_, String>(1)?);
    document.revision = number_at(row, 2)?;
    document.expires_at = some_time_at(row, 3)?;
    Ok(document)
}

impl State {
    /// Stores a document over what is expected. The check and the change are one step.
    pub(crate) fn put_document(
        &mut self,
        kind: &str,
        document: &Document,
        expected: Expected,
        now: Timestamp,
    ) -> Result<Saved> {
        let stored = get_document(&self.db, kind, &document.id, now)?;
        if !expected.is_met_by(stored.map(|stored| stored.revision)) {
            return Ok(Saved::Conflict);
        }
        // One counter for all: none is used twice for an id, however often that was deleted.
        let revision = self.next(|numbers| &mut numbers.document)?;
        let expires_at = document.expires_at.map(Timestamp::as_millis);
        self.execute(
            PUT,
            (kind, &document.id, &document.value, revision, expires_at),
        )?;
        Ok(Saved::Stored(revision.cast_unsigned()))
    }

    pub(crate) fn delete_document(
        &mut self,
        kind: &str,
        id: &str,
        expected: Expected,
        now: Timestamp,
    ) -> Result<Deleted> {
        let Some(stored) = get_document(&self.db, kind, id, now)? else {
            return Ok(Deleted::Absent);
        };
        if !expected.is_met_by(Some(stored.revision)) {
            return Ok(Deleted::Conflict);
        }
        self.execute(DELETE, (kind, id))?;
        Ok(Deleted::Deleted)
    }

    /// Drops what has expired.
    pub(crate) fn drop_documents(&mut self, now: Timestamp, limit: usize) -> Result<usize> {
        self.execute(EXPIRE, (now.as_millis(), long(limit)))
    }
}

/// A document, unless it has expired.
pub(crate) fn get_document(
    db: &Connection,
    kind: &str,
    id: &str,
    now: Timestamp,
) -> Result<Option<Document>> {
    find(db, GET, (kind, now.as_millis(), id), document)
}

/// Documents of a kind, by id.
pub(crate) fn list_documents(
    db: &Connection,
    kind: &str,
    query: &DocumentQuery,
    now: Timestamp,
) -> Result<Vec<Document>> {
    let sql = match (&query.after, query.descending) {
        (_, false) => UP,
        (Some(_), true) => DOWN,
        (None, true) => DOWN_FROM_LAST,
    };
    // No id is less than the empty one.
    let after = query.after.as_deref().unwrap_or_default();
    all(
        db,
        sql,
        (kind, now.as_millis(), after, long(query.limit)),
        document,
    )
}
