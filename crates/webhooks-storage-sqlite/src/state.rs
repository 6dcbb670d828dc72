//! What the writer has in hand: its connection, and what it remembers of the file.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::types::FromSql;
use rusqlite::{Connection, OptionalExtension, Params, Row};
use webhooks_core::{Timestamp, WorkerId};

use crate::counts_delta::CountsDelta;
use crate::error::Result;
use crate::known_endpoint::KnownEndpoint;
use crate::numbers::Numbers;

/// The writer's connection, inside a transaction while a call runs, and its memory.
///
/// All that is remembered here is in the file too. It is forgotten when another process has written,
/// and when a transaction is rolled back.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) db: Connection,
    /// Silence of workers counts from here at the earliest: what was silent may have been this.
    pub(crate) started_at: Timestamp,
    pub(crate) memory: Memory,
    /// What is to be added to the lanes' counts before somebody reads them, and before the commit.
    pub(crate) pending: HashMap<i64, CountsDelta>,
    /// The endpoint that a claim served last.
    pub(crate) cursor: i64,
    /// Something may have become claimable since the last commit.
    pub(crate) wake: bool,
}

/// What is remembered of the file.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) numbers: Option<Numbers>,
    pub(crate) endpoints: HashMap<Arc<str>, KnownEndpoint>,
    pub(crate) endpoint_ids: HashMap<i64, Arc<str>>,
    pub(crate) workers: HashMap<WorkerId, i64>,
}

impl State {
    pub(crate) fn new(db: Connection, started_at: Timestamp) -> Self {
        Self {
            db,
            started_at,
            memory: Memory::default(),
            pending: HashMap::new(),
            cursor: 0,
            wake: false,
        }
    }

    /// Forgets what was remembered of the file, and what was to be added to it.
    pub(crate) fn forget(&mut self) {
        self.memory = Memory::default();
        self.pending.clear();
    }

    /// Runs a statement. How many rows it changed.
    pub(crate) fn execute(&self, sql: &str, params: impl Params) -> Result<usize> {
        Ok(self.db.prepare_cached(sql)?.execute(params)?)
    }

    /// The first row of an answer, if there is one.
    pub(crate) fn find<T>(
        &self,
        sql: &str,
        params: impl Params,
        map: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>> {
        find(&self.db, sql, params, map)
    }

    /// The one value of an answer that always has one.
    pub(crate) fn value<T: FromSql>(&self, sql: &str, params: impl Params) -> Result<T> {
        let mut statement = self.db.prepare_cached(sql)?;
        Ok(statement.query_row(params, |row| row.get(0))?)
    }

    /// All rows of an answer, which its statement has to bound.
    pub(crate) fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        map: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        all(&self.db, sql, params, map)
    }
}

/// The first row of an answer, if there is one.
pub(crate) fn find<T>(
    db: &Connection,
    sql: &str,
    params: impl Params,
    map: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Option<T>> {
    let mut statement = db.prepare_cached(sql)?;
    Ok(statement.query_row(params, map).optional()?)
}

/// All rows of an answer, which its statement has to bound.
pub(crate) fn all<T>(
    db: &Connection,
    sql: &str,
    params: impl Params,
    map: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>> {
    let mut statement = db.prepare_cached(sql)?;
    let rows = statement.query_map(params, map)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
