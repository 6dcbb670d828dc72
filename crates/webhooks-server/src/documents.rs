//! What the server keeps beside the deliveries: typed values as documents of the storage.

use std::time::Duration;

use better_auth_webhooks::WebhookSystem;
use better_auth_webhooks::storage::{
    Deleted, Document, DocumentQuery, DocumentStore, Expected, Saved,
};
use http::StatusCode;
use serde::Serialize;
use serde::de::DeserializeOwned;
use webhooks_core::{Timestamp, WebhookError};

use crate::problem::Problem;

/// Values of one kind, as JSON, under their ids.
#[derive(Clone, Debug)]
pub(crate) struct Documents {
    /// Whose storage keeps them.
    system: WebhookSystem,
    /// Under which they are kept.
    kind: &'static str,
}

/// A value with the revision under which it is kept.
#[derive(Clone, Debug)]
pub(crate) struct Kept<T> {
    pub(crate) id: String,
    pub(crate) value: T,
    pub(crate) revision: u64,
}

impl Documents {
    /// Values of this kind. Ids of one kind do not meet those of another.
    pub(crate) const fn new(system: WebhookSystem, kind: &'static str) -> Self {
        Self { system, kind }
    }

    /// Whether the storage keeps documents at all.
    pub(crate) fn are_kept(&self) -> bool {
        matches!(self.system.documents(), Ok(Some(_)))
    }

    /// The time, as the storage tells it.
    pub(crate) fn now(&self) -> Result<Timestamp, Problem> {
        Ok(self.system.now()?)
    }

    /// The value with this id, if there is one.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        id: &str,
    ) -> Result<Option<Kept<T>>, Problem> {
        let found = self.store()?.get(self.kind, id, self.system.now()?).await?;
        found.map(|document| self.read(document)).transpose()
    }

    /// Keeps a value, for so long if a time is given; its revision, or `None` if what is there is not
    /// what is expected.
    pub(crate) async fn put(
        &self,
        id: &str,
        value: &impl Serialize,
        expected: Expected,
        kept_for: Option<Duration>,
    ) -> Result<Option<u64>, Problem> {
        let now = self.system.now()?;
        let value = serde_json::to_string(value).map_err(WebhookError::from)?;
        let mut document = Document::new(id, value);
        document.expires_at = kept_for.map(|time| now.after(time));
        let saved = self.store()?.put(self.kind, &document, expected, now);
        match saved.await? {
            Saved::Stored(revision) => Ok(Some(revision)),
            Saved::Conflict => Ok(None),
        }
    }

    /// Values by id, those behind `after`.
    pub(crate) async fn list<T: DeserializeOwned>(
        &self,
        after: Option<String>,
        descending: bool,
        limit: usize,
    ) -> Result<Vec<Kept<T>>, Problem> {
        let query = DocumentQuery {
            after,
            descending,
            limit,
        };
        let found = self.store()?.list(self.kind, &query, self.system.now()?);
        let found = found.await?.into_iter();
        found.map(|document| self.read(document)).collect()
    }

    /// Whether there was one.
    pub(crate) async fn delete(&self, id: &str) -> Result<bool, Problem> {
        let deleted = self.delete_if(id, Expected::Any).await?;
        Ok(deleted == Deleted::Deleted)
    }

    /// Deletes a value, if what is there is what is expected.
    pub(crate) async fn delete_if(&self, id: &str, expected: Expected) -> Result<Deleted, Problem> {
        let now = self.system.now()?;
        let deleted = self.store()?.delete(self.kind, id, expected, now);
        Ok(deleted.await?)
    }

    /// Where documents are kept.
    fn store(&self) -> Result<&dyn DocumentStore, Problem> {
        self.system.documents()?.ok_or_else(|| {
            let detail = format!("the storage keeps no documents, and so no {}", self.kind);
            Problem::new(StatusCode::NOT_IMPLEMENTED, "not-kept", detail)
        })
    }

    /// The value in a document.
    fn read<T: DeserializeOwned>(&self, document: Document) -> Result<Kept<T>, Problem> {
        // What does not read is somebody else's, or of a later version; its text may be a secret.
        let value = serde_json::from_str(&document.value).map_err(|_| {
            let text = format!("a document of the kind {} cannot be read", self.kind);
            Problem::from(WebhookError::StorageError(text.into()))
        })?;
        Ok(Kept {
            id: document.id,
            value,
            revision: document.revision,
        })
    }
}
