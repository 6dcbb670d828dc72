use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use webhooks_core::storage::{Deleted, Document, DocumentQuery, Expected, Saved};
use webhooks_core::{Result, Timestamp, WebhookError};

/// A kind and an id. Compared byte by byte, so that those of a kind stand together, by id.
type Name = (Arc<str>, Arc<str>);

/// Documents under their names, bounded in number and in bytes.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    kept: BTreeMap<Name, Document>,
    /// Those that expire, by when.
    expiring: BTreeSet<(Timestamp, Name)>,
    /// Of values. Names are short, and bounded by the number of documents.
    bytes: usize,
    /// The last revision that was given: one row for all, so that none is used twice for an id,
    /// however often that was deleted.
    revision: u64,
}

impl Documents {
    /// A document, unless it has expired.
    pub(crate) fn get(&self, kind: &str, id: &str, now: Timestamp) -> Option<&Document> {
        let found = self.kept.get(&name(kind, id));
        found.filter(|document| is_there(document, now))
    }

    /// Stores a document over what is expected, unless it would pass a bound.
    pub(crate) fn put(
        &mut self,
        kind: &str,
        document: &Document,
        expected: Expected,
        now: Timestamp,
        (most, most_bytes): (usize, usize),
    ) -> Result<Saved> {
        let stored = self.get(kind, &document.id, now);
        if !expected.is_met_by(stored.map(|stored| stored.revision)) {
            return Ok(Saved::Conflict);
        }
        let name = name(kind, &document.id);
        // What has expired takes its place until a sweep comes by; it may be what is put anew.
        let replaced = self.kept.get(&name).map(|old| old.value.len());
        let count = self.kept.len() + usize::from(replaced.is_none());
        let bytes = self.bytes - replaced.unwrap_or(0) + document.value.len();
        if count > most || bytes > most_bytes {
            let text = format!(
                "the memory storage would hold {count} documents of {bytes} bytes, at most {most} \
                 of {most_bytes}"
            );
            return Err(WebhookError::Overloaded(text.into()));
        }
        self.remove(&name);
        self.revision += 1;
        self.bytes = bytes;
        let expiry = document.expires_at.map(|at| (at, name.clone()));
        self.expiring.extend(expiry);
        let revision = self.revision;
        let document = Document {
            revision,
            ..document.clone()
        };
        self.kept.insert(name, document);
        Ok(Saved::Stored(revision))
    }

    /// Documents of a kind, by id.
    pub(crate) fn list(&self, kind: &str, query: &DocumentQuery, now: Timestamp) -> Vec<Document> {
        let bound = query.after.as_deref().map(|after| name(kind, after));
        let of_kind = |(name, _): &(&Name, &Document)| *name.0 == *kind;
        let there =
            |(_, document): (&Name, &Document)| is_there(document, now).then(|| document.clone());
        if !query.descending {
            let first = bound.map_or(Bound::Included(name(kind, "")), Bound::Excluded);
            let up = self.kept.range((first, Bound::Unbounded));
            let up = up.take_while(of_kind).filter_map(there);
            return up.take(query.limit).collect();
        }
        // The next kind, byte by byte, is this one with the least character behind it.
        let end = bound.unwrap_or_else(|| name(&format!("{kind}\0"), ""));
        let down = self.kept.range(..end).rev();
        let down = down.take_while(of_kind).filter_map(there);
        down.take(query.limit).collect()
    }

    pub(crate) fn delete(
        &mut self,
        kind: &str,
        id: &str,
        expected: Expected,
        now: Timestamp,
    ) -> Deleted {
        let Some(stored) = self.get(kind, id, now) else {
            return Deleted::Absent;
        };
        if !expected.is_met_by(Some(stored.revision)) {
            return Deleted::Conflict;
        }
        self.remove(&name(kind, id));
        Deleted::Deleted
    }

    /// Drops what has expired. How many documents there were, at most `limit`.
    pub(crate) fn sweep(&mut self, limit: usize, now: Timestamp) -> usize {
        let mut dropped = 0;
        while dropped < limit {
            let Some((at, name)) = self.expiring.first() else {
                break;
            };
            if *at > now {
                break;
            }
            self.remove(&name.clone());
            dropped += 1;
        }
        dropped
    }

    fn remove(&mut self, name: &Name) {
        let Some(removed) = self.kept.remove(name) else {
            return;
        };
        self.bytes -= removed.value.len();
        if let Some(at) = removed.expires_at {
            self.expiring.remove(&(at, name.clone()));
        }
    }
}

fn name(kind: &str, id: &str) -> Name {
    (kind.into(), id.into())
}

fn is_there(document: &Document, now: Timestamp) -> bool {
    document.expires_at.is_none_or(|at| at > now)
}
