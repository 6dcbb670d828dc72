use std::fmt;
use std::sync::Arc;

use deadpool_postgres::{Object, Pool};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Statement};
use webhooks_core::{EncryptionKeys, Result, WebhookError};

use crate::error::{pool_error, storage_error};

/// The pool, the schema that the tables are in, and the keys of what is encrypted there.
#[derive(Clone)]
pub(crate) struct Database {
    pub(crate) pool: Pool,
    schema: Arc<str>,
    pub(crate) keys: EncryptionKeys,
}

impl Database {
    /// # Errors
    ///
    /// [`WebhookError::InvalidConfig`] for a name that would need care to be quoted.
    pub(crate) fn new(pool: Pool, schema: &str, keys: EncryptionKeys) -> Result<Self> {
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let starts = schema.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
        if !starts || !schema.chars().all(good) || schema.len() > 48 {
            let text = format!(
                "schema {:?} is not 1 to 48 characters of a-z 0-9 _, the first no digit",
                schema.chars().take(64).collect::<String>()
            );
            return Err(WebhookError::InvalidConfig(text.into()));
        }
        Ok(Self {
            pool,
            schema: schema.into(),
            keys,
        })
    }

    pub(crate) fn schema(&self) -> &str {
        &self.schema
    }

    /// The statement with the schema in front of every table, which is written `@.table`.
    pub(crate) fn sql(&self, sql: &str) -> String {
        sql.replace("@.", &format!("\"{}\".", self.schema))
    }

    pub(crate) async fn connection(&self) -> Result<Object> {
        self.pool.get().await.map_err(|error| pool_error(&error))
    }

    /// Prepares a statement, once per connection.
    pub(crate) async fn prepare(&self, on: &Object, what: &str, sql: &str) -> Result<Statement> {
        let known = on.statement_cache.size();
        let prepared = on.prepare_cached(&self.sql(sql)).await;
        let unprepared = |error| storage_error(what, &error).without_effect();
        let statement = prepared.map_err(unprepared)?;
        if on.statement_cache.size() > known {
            // The planner expects far more rows than a claim takes, and would have it compiled, which
            // takes a hundred times as long as to run it.
            let set = on.batch_execute("SET jit = off").await;
            set.map_err(|error| storage_error(what, &error))?;
        }
        Ok(statement)
    }

    /// Runs one statement on a connection of its own.
    pub(crate) async fn query(
        &self,
        what: &str,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>> {
        let connection = self.connection().await?;
        let statement = self.prepare(&connection, what, sql).await?;
        connection
            .query(&statement, params)
            .await
            .map_err(|error| storage_error(what, &error))
    }

    /// Runs one statement; how many rows it touched.
    pub(crate) async fn execute(
        &self,
        what: &str,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<usize> {
        let connection = self.connection().await?;
        let statement = self.prepare(&connection, what, sql).await?;
        let rows = connection
            .execute(&statement, params)
            .await
            .map_err(|error| storage_error(what, &error))?;
        Ok(usize::try_from(rows).unwrap_or(usize::MAX))
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The pool's configuration holds a password.
        f.debug_struct("Database")
            .field("schema", &self.schema)
            .field("connections", &self.pool.status())
            .field("keys", &self.keys)
            .finish()
    }
}
