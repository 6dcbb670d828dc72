//! Brings the schema to the version that this code was written for.
//!
//! Each file of `migrations/` is one version, and says from which version on code may run on it.
//! Files are never changed once they were released.

use tokio_postgres::Transaction;
use tokio_postgres::error::SqlState;
use webhooks_core::{Result, WebhookError};

use crate::database::Database;
use crate::error::{commit_error, storage_error};

/// The files by version, from 1.
const MIGRATIONS: [&str; 1] = [include_str!("../migrations/0001_initial.sql")];

/// Whether there is a table of this name, and whether it is ours.
const FIND: &str = "SELECT to_regclass($1) IS NOT NULL, \
    (SELECT count(*) = 2 FROM pg_attribute WHERE attrelid = to_regclass($1) AND NOT attisdropped \
        AND attname IN ('version', 'compatible_from') AND atttypid = 'int4'::regtype)";

/// The version of the schema, and the oldest one whose code runs on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Version {
    version: i32,
    compatible_from: i32,
}

/// Applies what is missing, one node at a time, or only checks.
///
/// # Errors
///
/// [`WebhookError::InvalidConfig`] when the schema is of another version than this code can use.
pub(crate) async fn migrate(database: &Database, apply: bool) -> Result<()> {
    database.repeat(|| migrate_once(database, apply)).await
}

/// The version that is there, or 0, and the newest one.
pub(crate) async fn schema_version(database: &Database) -> Result<(u32, u32)> {
    const WHAT: &str = "read the version of the schema";
    database
        .repeat(|| async {
            let mut connection = database.connection().await?;
            let transaction = database.begin(&mut connection, WHAT).await?;
            let found = version(database, &transaction).await?;
            let of = |version| u32::try_from(version).unwrap_or(0);
            Ok((of(found.version), of(newest())))
        })
        .await
}

async fn migrate_once(database: &Database, apply: bool) -> Result<()> {
    const WHAT: &str = "migrate the schema";
    let mut connection = database.connection().await?;
    let error = |error| storage_error(WHAT, &error);
    let transaction = database.begin(&mut connection, WHAT).await?;
    if apply {
        // However long another node holds the lock, or a change takes.
        let patient = "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0; \
            SET LOCAL idle_in_transaction_session_timeout = 0";
        transaction.batch_execute(patient).await.map_err(error)?;
        let lock = format!("better-auth-webhooks migrations of {}", database.schema());
        transaction
            .query(
                "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))",
                &[&lock],
            )
            .await
            .map_err(error)?;
    }
    // The lock was taken by a statement before, so this one sees what the last holder committed.
    let found = version(database, &transaction).await?;
    check(found, apply)?;
    if apply && found.version < newest() {
        apply_missing(database, &transaction, found.version).await?;
    }
    let committed = transaction.commit().await;
    committed.map_err(|error| commit_error(WHAT, &error))
}

fn newest() -> i32 {
    i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX)
}

fn check(found: Version, apply: bool) -> Result<()> {
    let refuse = |text: String| Err(WebhookError::InvalidConfig(text.into()));
    let ours = newest();
    if found.compatible_from > ours {
        return refuse(format!(
            "the schema has version {}, which needs code of version {} or later; this is {ours}",
            found.version, found.compatible_from
        ));
    }
    if found.version < ours && !apply {
        return refuse(format!(
            "the schema has version {}, this code needs {ours}; apply the migrations",
            found.version
        ));
    }
    Ok(())
}

async fn version(database: &Database, transaction: &Transaction<'_>) -> Result<Version> {
    let error = |error| storage_error("read the version of the schema", &error);
    let table = format!("\"{}\".webhook_migrations", database.schema());
    let found = transaction
        .query_one(FIND, &[&table])
        .await
        .map_err(error)?;
    if found.get(0) && !found.get::<_, bool>(1) {
        let text = format!(
            "schema {:?} holds a webhook_migrations of something else, without integer columns \
             version and compatible_from: choose another schema",
            database.schema()
        );
        return Err(WebhookError::InvalidConfig(text.into()));
    }
    if !found.get::<_, bool>(0) {
        return Ok(Version {
            version: 0,
            compatible_from: 0,
        });
    }
    let sql = "SELECT coalesce(max(version), 0), coalesce(max(compatible_from), 0) \
               FROM @.webhook_migrations";
    let row = transaction
        .query_one(&database.sql(sql), &[])
        .await
        .map_err(error)?;
    Ok(Version {
        version: row.get(0),
        compatible_from: row.get(1),
    })
}

async fn apply_missing(
    database: &Database,
    transaction: &Transaction<'_>,
    version: i32,
) -> Result<()> {
    let schema = database.schema();
    let exists = transaction
        .query_one("SELECT to_regnamespace($1) IS NOT NULL", &[&schema])
        .await
        .map_err(|error| storage_error("look for the schema", &error))?;
    let mut script = String::new();
    // To create it needs a right that a role may lack where somebody else has created it.
    if !exists.get::<_, bool>(0) {
        script += &format!("CREATE SCHEMA \"{schema}\";");
    }
    script += &format!("SET LOCAL search_path = \"{schema}\";");
    for migration in MIGRATIONS
        .iter()
        .skip(usize::try_from(version).unwrap_or(0))
    {
        script += migration;
    }
    let applied = transaction.batch_execute(&script).await;
    applied.map_err(|error| {
        let taken = [
            SqlState::DUPLICATE_TABLE,
            SqlState::DUPLICATE_OBJECT,
            SqlState::DUPLICATE_FUNCTION,
        ];
        match error.as_db_error() {
            Some(db) if taken.contains(db.code()) => {
                let text = format!(
                    "schema {schema:?} holds something else under a name of ours: {}; choose another \
                     schema",
                    db.message()
                );
                WebhookError::InvalidConfig(text.into())
            }
            _ => storage_error("apply the migrations", &error),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_version(version: i32, compatible_from: i32) -> Result<()> {
        let found = Version {
            version,
            compatible_from,
        };
        check(found, false)
    }

    #[test]
    fn the_own_version_and_later_compatible_ones_are_accepted() {
        check_version(newest(), 1).unwrap();
        check_version(newest() + 1, newest()).unwrap();
    }

    #[test]
    fn a_later_incompatible_version_is_refused_with_both_versions() {
        let error = check_version(9, newest() + 1).unwrap_err().to_string();
        assert!(error.contains("version 9"), "{error}");
        assert!(
            error.contains(&format!("version {}", newest() + 1)),
            "{error}"
        );
    }

    #[test]
    fn an_older_version_is_refused_where_migrations_are_off() {
        assert!(check_version(newest() - 1, 0).is_err());
    }

    #[test]
    fn each_file_writes_its_own_version_down() {
        for (n, migration) in MIGRATIONS.iter().enumerate() {
            let insert = format!(
                "INSERT INTO webhook_migrations (version, compatible_from) VALUES ({}, ",
                n + 1
            );
            assert!(migration.contains(&insert), "migration {}", n + 1);
        }
    }
}
