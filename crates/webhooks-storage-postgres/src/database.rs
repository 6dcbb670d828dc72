use std::fmt;
use std::sync::Arc;

use deadpool_postgres::{Object, Pool, Transaction};
use futures_util::future::join3;
use tokio_postgres::types::ToSql;
use tokio_postgres::{IsolationLevel, Row, Statement};
use webhooks_core::{Result, WebhookError};

use crate::error::{commit_error, pool_error, storage_error};
use crate::settings::Settings;

/// The pool, and the schema that the tables are in.
#[derive(Clone)]
pub(crate) struct Database {
    pub(crate) pool: Pool,
    schema: Arc<str>,
    pub(crate) settings: Settings,
}

impl Database {
    /// # Errors
    ///
    /// [`WebhookError::InvalidConfig`] for a name that would need care to be quoted.
    pub(crate) fn new(pool: Pool, schema: &str) -> Result<Self> {
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
            settings: Settings::new(schema, "on"),
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
        let prepared = on.prepare_cached(&self.sql(sql)).await;
        prepared.map_err(|error| storage_error(what, &error).without_effect())
    }

    /// Begins a transaction of several statements. If it is refused, all of it is to be made again,
    /// by [`Database::repeat`].
    pub(crate) async fn begin<'a>(
        &self,
        on: &'a mut Object,
        what: &str,
    ) -> Result<Transaction<'a>> {
        let error = |error| storage_error(what, &error);
        let begin = on
            .build_transaction()
            .isolation_level(IsolationLevel::ReadCommitted)
            .read_only(false);
        let transaction = begin.start().await.map_err(error)?;
        let set = transaction.batch_execute(&self.settings.set_local).await;
        set.map_err(error)?;
        Ok(transaction)
    }

    /// Runs one statement on a connection of its own.
    pub(crate) async fn query(
        &self,
        what: &str,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>> {
        self.repeat(|| async move {
            let on = self.connection().await?;
            let statement = self.prepare(&on, what, sql).await?;
            self.alone(&on, what, on.query(&statement, params)).await
        })
        .await
    }

    /// Runs one statement; how many rows it touched.
    pub(crate) async fn execute(
        &self,
        what: &str,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<usize> {
        let rows = self.repeat(|| async move {
            let on = self.connection().await?;
            let statement = self.prepare(&on, what, sql).await?;
            self.alone(&on, what, on.execute(&statement, params)).await
        });
        Ok(usize::try_from(rows.await?).unwrap_or(usize::MAX))
    }

    /// Runs one statement in a transaction of its own, in the same round trip: all three requests
    /// are on their way before the first answer.
    async fn alone<T>(
        &self,
        on: &Object,
        what: &str,
        statement: impl Future<Output = std::result::Result<T, tokio_postgres::Error>>,
    ) -> Result<T> {
        let begin = on.batch_execute(&self.settings.begin);
        let commit = on.batch_execute("COMMIT");
        match join3(begin, statement, commit).await {
            (Ok(()), Ok(done), committed) => {
                committed.map_err(|error| commit_error(what, &error))?;
                Ok(done)
            }
            // Without a transaction the statement was one of its own, and did what it was to do.
            (Err(_), Ok(done), _) => Ok(done),
            // It failed because nothing could begin.
            (Err(error), Err(refused), _)
                if error.as_db_error().is_some() && refused.as_db_error().is_some() =>
            {
                Err(storage_error(what, &error))
            }
            (_, Err(error), _) => Err(storage_error(what, &error)),
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The pool's configuration holds a password.
        f.debug_struct("Database")
            .field("schema", &self.schema)
            .field("connections", &self.pool.status())
            .finish()
    }
}
