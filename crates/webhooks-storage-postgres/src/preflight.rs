//! What is looked at before anything is stored: whether this database, and the way to it, can keep
//! what the storage promises.

use std::time::Duration;

use deadpool_postgres::{ClientWrapper, Object};
use tokio::time::timeout;
use tokio_postgres::SimpleQueryMessage;
use webhooks_core::{Result, WebhookError};

use crate::columns::get;
use crate::database::Database;
use crate::error::storage_error;
use crate::refusal::Refusal;

const WHAT: &str = "look at the database";
const LOOK: &str = "SELECT current_setting('server_encoding') AS encoding, \
    current_setting('server_version_num')::int4 AS version, \
    current_setting('synchronous_commit') AS synchronous_commit, current_setting('fsync') AS fsync";
/// The oldest server: version 13.
const OLDEST: i32 = 130_000;
/// Tells sessions of servers apart.
const SESSION: &str = "SELECT pg_backend_pid() || ' ' || extract(epoch FROM a.backend_start) \
    FROM pg_stat_get_activity(pg_backend_pid()) a";
/// How often two connections are compared: a pooler may happen to give them what they had.
const ROUNDS: usize = 3;
/// How long one of them may take. A pooler that has no session left lets it wait.
const PATIENCE: Duration = Duration::from_secs(2);

impl Database {
    /// Refuses a database that cannot be used; the level of `synchronous_commit` to use.
    ///
    /// # Errors
    ///
    /// [`WebhookError::InvalidConfig`] for another encoding than UTF8, a server before version 13, and
    /// a pooler that takes prepared statements away.
    pub(crate) async fn preflight(&self) -> Result<String> {
        self.repeat(|| self.refuse_shared_sessions()).await?;
        self.repeat(|| self.look()).await
    }

    async fn look(&self) -> Result<String> {
        let on = self.connection().await?;
        let looked = on.query_typed_one(LOOK, &[]).await;
        let row = looked.map_err(|error| storage_error(WHAT, &error))?;
        let (encoding, version): (&str, i32) = (get(&row, "encoding")?, get(&row, "version")?);
        if version < OLDEST {
            let text = format!("the server is PostgreSQL {}, at least 13", version / 10_000);
            return Err(WebhookError::InvalidConfig(text.into()));
        }
        // Others refuse characters of payloads, and SQL_ASCII takes what is no text at all.
        if encoding != "UTF8" {
            let text = format!("the database's encoding is {encoding}, it needs to be UTF8");
            return Err(WebhookError::InvalidConfig(text.into()));
        }
        if get::<&str>(&row, "fsync")? == "off" {
            tracing::warn!("fsync is off: what was acknowledged is lost when the server crashes");
        }
        match get(&row, "synchronous_commit")? {
            "off" => {
                tracing::warn!("synchronous_commit is off, the storage sets it to on for itself");
                Ok("on".into())
            }
            level => Ok(level.into()),
        }
    }

    /// Looks whether statements that are prepared stay, beside somebody else's transaction.
    async fn refuse_shared_sessions(&self) -> Result<()> {
        // Out of the pool, so that a pool of one can give another.
        let own = Object::take(self.connection().await?);
        let Ok(Ok(other)) = timeout(PATIENCE, self.connection()).await else {
            return Ok(());
        };
        for _ in 0..ROUNDS {
            let shared = shares_sessions(&own, &other).await;
            let ended = timeout(PATIENCE, other.batch_execute("ROLLBACK")).await;
            if shared {
                let text = "the pooler before the database shares sessions between its clients and \
                    loses prepared statements: it needs to keep sessions (PgBouncer: pool_mode = \
                    session) or statements (PgBouncer 1.21 or later: max_prepared_statements)";
                return Err(WebhookError::InvalidConfig(text.into()));
            }
            if !matches!(ended, Ok(Ok(()))) {
                drop(Object::take(other));
                return Ok(());
            }
        }
        Ok(())
    }
}

/// Whether `own` has lost a statement that it has just prepared, while `other` is in a transaction.
/// `false` when that cannot be said.
async fn shares_sessions(own: &ClientWrapper, other: &ClientWrapper) -> bool {
    let is_lost = |error: tokio_postgres::Error| Refusal::of(&error) == Some(Refusal::Statement);
    let of_own = timeout(PATIENCE, own.simple_query(SESSION)).await;
    let prepared = match timeout(PATIENCE, own.prepare("SELECT 1")).await {
        Ok(Ok(prepared)) => prepared,
        Ok(Err(error)) => return is_lost(error),
        Err(_) => return false,
    };
    // One that gives sessions in turn gives another one here.
    if let Ok(Err(error)) = timeout(PATIENCE, own.query(&prepared, &[])).await {
        return is_lost(error);
    }
    // One that gives the last one first gives it to the other here.
    let begin = format!("BEGIN; {SESSION}");
    let of_other = match timeout(PATIENCE, other.simple_query(&begin)).await {
        Ok(Ok(told)) => session(&told),
        // Transactions are refused where each statement gets another session.
        Ok(Err(error)) => return is_lost(error),
        Err(_) => return false,
    };
    match timeout(PATIENCE, own.query(&prepared, &[])).await {
        Ok(answer) => answer.is_err_and(is_lost),
        // It waits for the only session there is.
        Err(_) => of_own.is_ok_and(|told| told.is_ok_and(|told| session(&told) == of_other)),
    }
}

fn session(told: &[SimpleQueryMessage]) -> Option<String> {
    told.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(String::from),
        _ => None,
    })
}
