//! Documents, those of a kind in one partition.

use async_trait::async_trait;
use webhooks_core::storage::spi::{check_document, check_document_name};
use webhooks_core::storage::{Deleted, Document, DocumentQuery, DocumentStore, Expected, Saved};
use webhooks_core::{Result, Timestamp};

use crate::args::{Args, expected_text};
use crate::endpoints::read_deleted;
use crate::plain_storage::PlainStorage;
use crate::reply::Reply;
use crate::script::Script;

impl PlainStorage {
    /// Runs a script in the partition of a kind: all documents of one are in it, so that a listing is one
    /// walk. A server without memory refuses what it is to store, and says so.
    async fn run_document(
        &self,
        kind: &str,
        script: Script,
        args: &Args,
        now: Timestamp,
    ) -> Result<Reply> {
        let partition = self.connection.keys.partition_of(kind);
        let now = now.as_millis().to_string();
        self.connection
            .run_bounded(partition, script, &now, args)
            .await
    }
}

#[async_trait]
impl DocumentStore for PlainStorage {
    async fn get(&self, kind: &str, id: &str, now: Timestamp) -> Result<Option<Document>> {
        check_document_name(kind, id)?;
        let mut args = Args::default();
        args.text(kind).text(id);
        let run = self.run_document(kind, Script::GetDocument, &args, now);
        let mut reply = run.await?;
        if reply.is_over() {
            return Ok(None);
        }
        read_document(id.into(), &mut reply).map(Some)
    }

    async fn put(
        &self,
        kind: &str,
        document: &Document,
        expected: Expected,
        now: Timestamp,
    ) -> Result<Saved> {
        check_document(kind, document)?;
        let expires = document.expires_at.map(|at| at.as_millis().to_string());
        let mut args = Args::default();
        args.text(kind)
            .text(&document.id)
            .text(&document.value)
            .text(&expires.unwrap_or_default())
            .text(&expected_text(expected))
            .number(webhooks_core::unique_number());
        let run = self.run_document(kind, Script::PutDocument, &args, now);
        let revision = run.await?.optional()?;
        Ok(revision.map_or(Saved::Conflict, Saved::Stored))
    }

    async fn list(
        &self,
        kind: &str,
        query: &DocumentQuery,
        now: Timestamp,
    ) -> Result<Vec<Document>> {
        query.validate(kind)?;
        let mut documents = Vec::new();
        let mut after = query.after.clone().unwrap_or_default();
        while documents.len() < query.limit {
            let mut args = Args::default();
            args.text(kind)
                .text(&after)
                .flag(query.descending)
                .number(query.limit - documents.len());
            let run = self.run_document(kind, Script::ListDocuments, &args, now);
            let mut reply = run.await?;
            let mut list = reply.list()?;
            while !list.is_over() {
                let id = list.text()?;
                documents.push(read_document(id, &mut list)?);
            }
            after = reply.text()?;
            if after.is_empty() {
                break;
            }
        }
        Ok(documents)
    }

    async fn delete(
        &self,
        kind: &str,
        id: &str,
        expected: Expected,
        now: Timestamp,
    ) -> Result<Deleted> {
        check_document_name(kind, id)?;
        let mut args = Args::default();
        args.text(kind)
            .text(id)
            .text(&expected_text(expected))
            .number(webhooks_core::unique_number());
        let run = self.run_document(kind, Script::DeleteDocument, &args, now);
        read_deleted(&mut run.await?)
    }
}

/// The value, the revision and the time of expiry that come next.
fn read_document(id: String, reply: &mut Reply) -> Result<Document> {
    Ok(Document {
        id,
        value: reply.text()?,
        revision: reply.number()?,
        expires_at: reply.optional()?.map(Timestamp::from_millis),
    })
}
