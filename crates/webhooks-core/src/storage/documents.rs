//! Small texts that live beside the deliveries: what a server around the system keeps.

use std::fmt::Debug;

use serde::Serialize;

use super::{Deleted, Expected, Saved, async_trait};
use crate::text_rule::name_problem;
use crate::{Result, Timestamp, WebhookError};

/// The longest value of a document, in bytes.
pub const MAX_DOCUMENT: usize = 64 << 10;
/// The most documents of one listing.
pub const MAX_DOCUMENTS: usize = 1_000;

/// A text under a kind and an id.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Document {
    /// Identifies it among those of its kind: 1 to 256 bytes without control characters.
    pub id: String,
    /// What it holds, at most 64 KiB. Hidden from `Debug`.
    pub value: String,
    /// The number of its last change, larger than any before it of this kind and id.
    pub revision: u64,
    /// From when on it is not there any more.
    pub expires_at: Option<Timestamp>,
}

impl Document {
    /// A document that does not expire, to be put.
    pub fn new(id: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            value: value.into(),
            revision: 0,
            expires_at: None,
        }
    }
}

impl Debug for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // It may be a key.
        f.debug_struct("Document")
            .field("id", &self.id)
            .field("value_bytes", &self.value.len())
            .field("revision", &self.revision)
            .field("expires_at", &self.expires_at)
            .finish()
    }
}

/// Which documents of a kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct DocumentQuery {
    /// Those behind this id, in the order that is asked for.
    pub after: Option<String>,
    /// From the largest id down instead of from the smallest up. Ids are compared byte by byte.
    pub descending: bool,
    /// Documents at most, 1 to 1,000.
    pub limit: usize,
}

/// Keeps documents, each change durable when it is answered.
///
/// What a change expects and the change itself are one step: of two that expect the same revision,
/// one gets a conflict. A document that has expired is as good as gone for every call; a
/// [sweep](super::WebhookStorage::sweep) drops it.
#[async_trait]
pub trait DocumentStore: Debug + Send + Sync {
    /// The document of this kind and id, if there is one.
    async fn get(&self, kind: &str, id: &str, now: Timestamp) -> Result<Option<Document>>;

    /// Inserts or replaces a document, if what is there is what is expected. Its `revision` is not
    /// looked at.
    async fn put(
        &self,
        kind: &str,
        document: &Document,
        expected: Expected,
        now: Timestamp,
    ) -> Result<Saved>;

    /// Documents of a kind, by id.
    async fn list(
        &self,
        kind: &str,
        query: &DocumentQuery,
        now: Timestamp,
    ) -> Result<Vec<Document>>;

    /// Deletes a document, if what is there is what is expected.
    async fn delete(
        &self,
        kind: &str,
        id: &str,
        expected: Expected,
        now: Timestamp,
    ) -> Result<Deleted>;
}

/// Checks the kind and the id of a document: 1 to 256 bytes each, without control characters.
/// Storages call it before they look.
///
/// # Errors
///
/// [`WebhookError::InvalidQuery`] that names the field and its bound.
pub fn check_document_name(kind: &str, id: &str) -> Result<()> {
    let problem = name_problem("kind", kind).or_else(|| name_problem("id", id));
    match problem {
        None => Ok(()),
        Some(problem) => Err(WebhookError::InvalidQuery(problem.into())),
    }
}

/// Checks a document that is to be stored: its names, and at most [`MAX_DOCUMENT`] bytes. Storages
/// call it before they store.
///
/// # Errors
///
/// [`WebhookError::InvalidQuery`] that names the field and its bound.
pub fn check_document(kind: &str, document: &Document) -> Result<()> {
    check_document_name(kind, &document.id)?;
    let length = document.value.len();
    if length <= MAX_DOCUMENT && !document.value.contains('\0') {
        return Ok(());
    }
    let text = match length {
        ..=MAX_DOCUMENT => "value holds a zero character".into(),
        _ => format!("value has {length} bytes, it needs 0 to {MAX_DOCUMENT}"),
    };
    Err(WebhookError::InvalidQuery(text.into()))
}

impl DocumentQuery {
    /// Checks the kind and the bounds. Storages call it before they look.
    ///
    /// # Errors
    ///
    /// [`WebhookError::InvalidQuery`] that names the field and its bound.
    pub fn validate(&self, kind: &str) -> Result<()> {
        check_document_name(kind, self.after.as_deref().unwrap_or("-"))?;
        if (1..=MAX_DOCUMENTS).contains(&self.limit) {
            return Ok(());
        }
        let text = format!("limit is {}, it needs 1 to {MAX_DOCUMENTS}", self.limit);
        Err(WebhookError::InvalidQuery(text.into()))
    }
}
