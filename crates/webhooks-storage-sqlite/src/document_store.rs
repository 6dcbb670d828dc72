use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use webhooks_core::storage::spi::{check_document, check_document_name};
use webhooks_core::storage::{Deleted, Document, DocumentQuery, DocumentStore, Expected, Saved};
use webhooks_core::{Result, Timestamp};

use crate::documents::{get_document, list_documents};
use crate::readers::Readers;
use crate::state::State;
use crate::writer::Writer;

/// The documents of the file.
pub(crate) struct SqliteDocuments {
    pub(crate) writer: Arc<Writer>,
    pub(crate) readers: Arc<Readers>,
}

impl fmt::Debug for SqliteDocuments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteDocuments").finish_non_exhaustive()
    }
}

#[async_trait]
impl DocumentStore for SqliteDocuments {
    async fn get(&self, kind: &str, id: &str, now: Timestamp) -> Result<Option<Document>> {
        check_document_name(kind, id)?;
        let (kind, id) = (kind.to_owned(), id.to_owned());
        let read = move |db: &rusqlite::Connection| get_document(db, &kind, &id, now);
        self.readers.call("read a document", read).await
    }

    async fn put(
        &self,
        kind: &str,
        document: &Document,
        expected: Expected,
        now: Timestamp,
    ) -> Result<Saved> {
        check_document(kind, document)?;
        let (kind, document) = (kind.to_owned(), document.clone());
        let bytes = document.value.len() + kind.len();
        let put = move |state: &mut State| state.put_document(&kind, &document, expected, now);
        self.writer.call("store a document", bytes, put).await
    }

    async fn list(
        &self,
        kind: &str,
        query: &DocumentQuery,
        now: Timestamp,
    ) -> Result<Vec<Document>> {
        query.validate(kind)?;
        let (kind, query) = (kind.to_owned(), query.clone());
        let read = move |db: &rusqlite::Connection| list_documents(db, &kind, &query, now);
        self.readers.call("list documents", read).await
    }

    async fn delete(
        &self,
        kind: &str,
        id: &str,
        expected: Expected,
        now: Timestamp,
    ) -> Result<Deleted> {
        check_document_name(kind, id)?;
        let (kind, id) = (kind.to_owned(), id.to_owned());
        let delete = move |state: &mut State| state.delete_document(&kind, &id, expected, now);
        self.writer
            .call("delete a document", kind_bytes(), delete)
            .await
    }
}

/// What a call without much in it takes in the queue.
const fn kind_bytes() -> usize {
    256
}
