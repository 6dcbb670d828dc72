//! Small texts of a server around the system: each change is one statement.

use std::time::SystemTime;

use async_trait::async_trait;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use webhooks_core::storage::spi::{check_document, check_document_name};
use webhooks_core::storage::{Deleted, Document, DocumentQuery, DocumentStore, Expected, Saved};
use webhooks_core::{Result, Timestamp};

use crate::columns::{get, get_u64, long, time};
use crate::database::Database;

const GET: &str = "SELECT id, value, revision, expires_at FROM @.webhook_documents \
    WHERE kind = $1::text AND id = $2::text AND (expires_at > $3::timestamptz) IS NOT FALSE";
const PUT: &str = include_str!("sql/put_document.sql");
/// A revision that is expected must be there already.
const REPLACE: &str = "UPDATE @.webhook_documents d \
    SET value = $3::text, expires_at = $4::timestamptz, revision = DEFAULT \
    WHERE kind = $1::text AND id = $2::text AND (expires_at > $5::timestamptz) IS NOT FALSE \
    AND revision = $6::bigint RETURNING revision";
const DELETE: &str = include_str!("sql/delete_document.sql");
const WHAT: &str = "keep a document";

#[async_trait]
impl DocumentStore for Database {
    async fn get(&self, kind: &str, id: &str, now: Timestamp) -> Result<Option<Document>> {
        check_document_name(kind, id)?;
        let rows = self.query(WHAT, GET, &[&kind, &id, &time(now)]).await?;
        rows.first().map(document).transpose()
    }

    async fn put(
        &self,
        kind: &str,
        document: &Document,
        expected: Expected,
        now: Timestamp,
    ) -> Result<Saved> {
        check_document(kind, document)?;
        let (d, at) = (document, document.expires_at.map(time));
        let now = time(now);
        let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&kind, &d.id, &d.value, &at, &now];
        let replaces = expected == Expected::Any;
        let (number, sql) = match expected {
            Expected::Revision(revision) => (long(revision), REPLACE),
            Expected::Any | Expected::Absent => (0, PUT),
        };
        parameters.push(match sql == PUT {
            true => &replaces,
            false => &number,
        });
        let rows = self.query(WHAT, sql, &parameters).await?;
        match rows.first() {
            Some(row) => Ok(Saved::Stored(get_u64(row, "revision")?)),
            None => Ok(Saved::Conflict),
        }
    }

    async fn list(
        &self,
        kind: &str,
        query: &DocumentQuery,
        now: Timestamp,
    ) -> Result<Vec<Document>> {
        query.validate(kind)?;
        let (sign, order) = match query.descending {
            true => ("<", "DESC"),
            false => (">", "ASC"),
        };
        let (now, limit) = (time(now), long(query.limit));
        let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&kind, &now, &limit];
        let mut behind = String::new();
        if let Some(after) = &query.after {
            parameters.push(after);
            behind = format!("AND id {sign} $4::text");
        }
        let sql = format!(
            "SELECT id, value, revision, expires_at FROM @.webhook_documents \
             WHERE kind = $1::text AND (expires_at > $2::timestamptz) IS NOT FALSE {behind} \
             ORDER BY id {order} LIMIT $3::bigint"
        );
        let rows = self.query(WHAT, &sql, &parameters).await?;
        rows.iter().map(document).collect()
    }

    async fn delete(
        &self,
        kind: &str,
        id: &str,
        expected: Expected,
        now: Timestamp,
    ) -> Result<Deleted> {
        check_document_name(kind, id)?;
        let revision = match expected {
            Expected::Any => None,
            // No document has it.
            Expected::Absent => Some(0),
            Expected::Revision(revision) => Some(long(revision)),
        };
        let parameters: [&(dyn ToSql + Sync); 4] = [&kind, &id, &time(now), &revision];
        let rows = self.query(WHAT, DELETE, &parameters).await?;
        let found = rows
            .first()
            .map(|row| get::<bool>(row, "is_gone"))
            .transpose()?;
        Ok(match found {
            None => Deleted::Absent,
            Some(true) => Deleted::Deleted,
            Some(false) => Deleted::Conflict,
        })
    }
}

fn document(row: &Row) -> Result<Document> {
    let mut document = Document::new(get::<&str>(row, "id")?, get::<&str>(row, "value")?);
    document.revision = get_u64(row, "revision")?;
    document.expires_at = get::<Option<SystemTime>>(row, "expires_at")?.map(Into::into);
    Ok(document)
}
