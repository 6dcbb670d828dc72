use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use deadpool_postgres::{Object, Pool, Transaction};
use futures_util::future::{join3, try_join};
use tokio_postgres::types::ToSql;
use tokio_postgres::{IsolationLevel, Row, Statement};
use webhooks_core::{Result, Timestamp, WebhookError};

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
        self.query_after(what, None, sql, params, None).await
    }

    /// Runs a statement that may end heads of orders at this time.
    pub(crate) async fn query_at(
        &self,
        what: &str,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
        at: Timestamp,
    ) -> Result<Vec<Row>> {
        self.query_after(what, None, sql, params, Some(at)).await
    }

    /// Runs a statement behind one that takes locks, if there is one: it sees then what was committed
    /// by whoever had them before.
    pub(crate) async fn query_after(
        &self,
        what: &str,
        before: Option<(&str, &[&(dyn ToSql + Sync)])>,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
        at: Option<Timestamp>,
    ) -> Result<Vec<Row>> {
        self.repeat(|| async move {
            let on = self.connection().await?;
            let statement = self.prepare(&on, what, sql).await?;
            let run = on.query(&statement, params);
            let Some((lock, locked)) = before else {
                return self.alone(&on, what, run, at).await;
            };
            let lock = self.prepare(&on, what, lock).await?;
            let both = async {
                let (_, rows) = try_join(on.execute(&lock, locked), run).await?;
                Ok(rows)
            };
            self.alone(&on, what, both, at).await
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
            let run = on.execute(&statement, params);
            self.alone(&on, what, run, None).await
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
        at: Option<Timestamp>,
    ) -> Result<T> {
        let begin = match at {
            None => Cow::Borrowed(&*self.settings.begin),
            Some(at) => Cow::Owned(format!("{};{}", self.settings.begin, now_is(at))),
        };
        let begin = on.batch_execute(&begin);
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

/// Tells the trigger that lets the next one of an order go what time it is.
pub(crate) fn now_is(at: Timestamp) -> String {
    format!("SET LOCAL webhooks.now_ms = '{}'", at.as_millis())
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
