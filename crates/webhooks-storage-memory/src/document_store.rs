use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use webhooks_core::storage::spi::{check_document, check_document_name};
use webhooks_core::storage::{Deleted, Document, DocumentQuery, DocumentStore, Expected, Saved};
use webhooks_core::{Result, Timestamp};

use crate::MemoryLimits;
use crate::documents::Documents;

/// [`Documents`] behind a lock of their own.
#[derive(Debug)]
pub(crate) struct MemoryDocuments {
    documents: Mutex<Documents>,
    /// In number and in bytes.
    limits: (usize, usize),
}

impl MemoryDocuments {
    pub(crate) fn new(limits: &MemoryLimits) -> Self {
        Self {
            documents: Mutex::default(),
            limits: (limits.documents, limits.document_bytes),
        }
    }

    /// Drops what has expired. How many documents there were, at most `limit`.
    pub(crate) fn sweep(&self, limit: usize, now: Timestamp) -> usize {
        self.lock().sweep(limit, now)
    }

    fn lock(&self) -> MutexGuard<'_, Documents> {
        self.documents
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl DocumentStore for MemoryDocuments {
    async fn get(&self, kind: &str, id: &str, now: Timestamp) -> Result<Option<Document>> {
        check_document_name(kind, id)?;
        Ok(self.lock().get(kind, id, now).cloned())
    }

    async fn put(
        &self,
        kind: &str,
        document: &Document,
        expected: Expected,
        now: Timestamp,
    ) -> Result<Saved> {
        check_document(kind, document)?;
        let limits = self.limits;
        self.lock().put(kind, document, expected, now, limits)
    }

    async fn list(
        &self,
        kind: &str,
        query: &DocumentQuery,
        now: Timestamp,
    ) -> Result<Vec<Document>> {
        query.validate(kind)?;
        Ok(self.lock().list(kind, query, now))
    }

    async fn delete(
        &self,
        kind: &str,
        id: &str,
        expected: Expected,
        now: Timestamp,
    ) -> Result<Deleted> {
        check_document_name(kind, id)?;
        Ok(self.lock().delete(kind, id, expected, now))
    }
}
