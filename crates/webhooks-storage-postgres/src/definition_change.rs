//! A change of one endpoint's definition: what is stored is looked at, and nobody changes it until
//! the change is stored.

use deadpool_postgres::{Object, Transaction};
use tokio_postgres::types::ToSql;
use webhooks_core::Result;
use webhooks_core::storage::Saved;

use crate::columns::{get, get_u64};
use crate::database::Database;
use crate::error::{commit_error, storage_error};

/// Every change of endpoints takes this lock first: changes commit in the order of their revisions.
pub(crate) const LOCK_REVISION: &str = "SELECT revision FROM @.webhook_revision FOR UPDATE";
/// Waits for who is storing deliveries for the endpoint, so that the cancelling sees them.
pub(crate) const LOCK: &str = "SELECT 1 FROM @.webhook_endpoints WHERE id = $1 FOR UPDATE";
const WHAT: &str = "change an endpoint";
const FIND: &str = "SELECT definition_revision, tenant, deleted_at IS NULL AS is_live \
    FROM @.webhook_endpoints WHERE id = $1";

/// A transaction that holds the lock of all changes of endpoints. If it is refused, all of it is to be
/// made again, by [`Database::repeat`].
pub(crate) struct DefinitionChange<'a> {
    database: &'a Database,
    transaction: Transaction<'a>,
    pub(crate) found: Option<Found>,
}

/// What is stored under the id, a tombstone too.
pub(crate) struct Found {
    pub(crate) definition_revision: u64,
    pub(crate) tenant: Option<String>,
    pub(crate) is_live: bool,
}

impl<'a> DefinitionChange<'a> {
    pub(crate) async fn begin(
        database: &'a Database,
        connection: &'a mut Object,
        id: &str,
    ) -> Result<Self> {
        let error = |error| storage_error(WHAT, &error);
        let lock = database.prepare(connection, WHAT, LOCK_REVISION).await?;
        let find = database.prepare(connection, WHAT, FIND).await?;
        let transaction = database.begin(connection, WHAT).await?;
        transaction.query(&lock, &[]).await.map_err(error)?;
        // A statement of its own, whose snapshot is from after the lock.
        let rows = transaction.query(&find, &[&id]).await.map_err(error)?;
        let found = match rows.first() {
            None => None,
            Some(row) => Some(Found {
                definition_revision: get_u64(row, "definition_revision")?,
                tenant: get(row, "tenant")?,
                is_live: get(row, "is_live")?,
            }),
        };
        Ok(Self {
            database,
            transaction,
            found,
        })
    }

    /// Waits for who is storing deliveries for the endpoint: whoever stores some later sees the
    /// change.
    pub(crate) async fn lock(&self, id: &str) -> Result<()> {
        self.query(LOCK, &[&id]).await.map(drop)
    }

    /// Stores the change with a statement that returns the new revision.
    pub(crate) async fn save(self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Saved> {
        let rows = self.query(sql, params).await?;
        let saved = match rows.first() {
            Some(row) => Saved::Stored(get_u64(row, "revision")?),
            None => Saved::Conflict,
        };
        let committed = self.transaction.commit().await;
        committed.map_err(|error| commit_error(WHAT, &error))?;
        Ok(saved)
    }

    async fn query(
        &self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<tokio_postgres::Row>> {
        let sql = self.database.sql(sql);
        let rows = async {
            let statement = self.transaction.prepare_cached(&sql).await?;
            self.transaction.query(&statement, params).await
        };
        rows.await.map_err(|error| storage_error(WHAT, &error))
    }
}
