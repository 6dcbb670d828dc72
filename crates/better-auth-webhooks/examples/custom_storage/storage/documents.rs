use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use better_auth_webhooks::storage::spi::{check_document, check_document_name};
use better_auth_webhooks::storage::{
    Deleted, Document, DocumentQuery, DocumentStore, Expected, Saved,
};
use better_auth_webhooks::{Result, Timestamp};

/// Documents by kind and id.
#[derive(Debug, Default)]
pub(crate) struct Documents(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    documents: BTreeMap<(String, String), Document>,
    /// One counter for all, so that no revision of an id comes twice.
    revision: u64,
}

impl Documents {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops what has expired. How many documents there were, at most `limit`.
    pub(crate) fn sweep(&self, limit: usize, now: Timestamp) -> usize {
        let mut dropped = 0;
        self.kept().documents.retain(|_, document| {
            let goes = dropped < limit && !is_there(document, now);
            dropped += usize::from(goes);
            !goes
        });
        dropped
    }
}

impl Kept {
    fn find(&self, kind: &str, id: &str, now: Timestamp) -> Option<&Document> {
        let found = self.documents.get(&(kind.into(), id.into()));
        found.filter(|document| is_there(document, now))
    }
}

#[async_trait]
impl DocumentStore for Documents {
    async fn get(&self, kind: &str, id: &str, now: Timestamp) -> Result<Option<Document>> {
        check_document_name(kind, id)?;
        Ok(self.kept().find(kind, id, now).cloned())
    }

    async fn put(
        &self,
        kind: &str,
        document: &Document,
        expected: Expected,
        now: Timestamp,
    ) -> Result<Saved> {
        check_document(kind, document)?;
        let mut kept = self.kept();
        let stored = kept.find(kind, &document.id, now);
        if !expected.is_met_by(stored.map(|stored| stored.revision)) {
            return Ok(Saved::Conflict);
        }
        kept.revision += 1;
        let revision = kept.revision;
        let document = Document {
            revision,
            ..document.clone()
        };
        let name = (kind.into(), document.id.clone());
        kept.documents.insert(name, document);
        Ok(Saved::Stored(revision))
    }

    async fn list(
        &self,
        kind: &str,
        query: &DocumentQuery,
        now: Timestamp,
    ) -> Result<Vec<Document>> {
        query.validate(kind)?;
        let kept = self.kept();
        let own = kept.documents.iter().filter(|((of, _), _)| of == kind);
        let own = own.map(|(_, document)| document);
        let mut found: Vec<_> = own.filter(|d| is_there(d, now)).cloned().collect();
        if query.descending {
            found.reverse();
        }
        found.retain(|document| match &query.after {
            None => true,
            Some(after) if query.descending => document.id < *after,
            Some(after) => document.id > *after,
        });
        found.truncate(query.limit);
        Ok(found)
    }

    async fn delete(
        &self,
        kind: &str,
        id: &str,
        expected: Expected,
        now: Timestamp,
    ) -> Result<Deleted> {
        check_document_name(kind, id)?;
        let mut kept = self.kept();
        let Some(stored) = kept.find(kind, id, now) else {
            return Ok(Deleted::Absent);
        };
        if !expected.is_met_by(Some(stored.revision)) {
            return Ok(Deleted::Conflict);
        }
        kept.documents.remove(&(kind.into(), id.into()));
        Ok(Deleted::Deleted)
    }
}

fn is_there(document: &Document, now: Timestamp) -> bool {
    document.expires_at.is_none_or(|at| at > now)
}
