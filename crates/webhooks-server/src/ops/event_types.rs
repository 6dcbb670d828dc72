//! The types of events that are known, as the storage keeps them.
//!
//! A sender asks for the type of each event, so a type is remembered for 5 seconds together with its
//! compiled schema. To compile a schema costs far more than to use it.
//!
//! A change reaches the process that made it at once, and others after 5 seconds at most. In that time
//! an event may still be held to the schema of before.

use std::sync::Arc;

use better_auth_webhooks::storage::{Deleted, Expected};

use super::event_type::{EventTypeEntry, invalid};
use super::schema::Schema;
use crate::documents::{Documents, Kept};
use crate::problem::Problem;
use crate::remembered::Remembered;

/// Types that are remembered at most, each with at most 64 KiB of schema.
const MOST_KNOWN: usize = 1_024;
/// Types of one catalogue at most.
pub(super) const MOST: usize = 1_000;

/// The catalogue of a system. What is asked of data is remembered for a moment, since every event that
/// is sent asks for it.
#[derive(Debug)]
pub(crate) struct EventTypes {
    documents: Documents,
    known: Remembered<KnownType>,
}

/// A type with its schema, ready to be used.
#[derive(Debug)]
pub(super) struct KnownType {
    pub(super) entry: EventTypeEntry,
    pub(super) schema: Option<Schema>,
}

impl EventTypes {
    /// Types that are kept so.
    pub(crate) fn new(documents: Documents) -> Self {
        Self {
            documents,
            known: Remembered::new(MOST_KNOWN),
        }
    }

    /// Where they are kept.
    pub(super) const fn documents(&self) -> &Documents {
        &self.documents
    }

    /// The type of this name as it was a moment ago at most, if it is in the catalogue.
    pub(super) async fn find(&self, name: &str) -> Result<Option<Arc<KnownType>>, Problem> {
        if !self.documents.are_kept() {
            return Ok(None);
        }
        if let Some(known) = self.known.known(name) {
            return Ok(known);
        }
        let kept = self.documents.get::<EventTypeEntry>(name).await?;
        let known = kept.map(|kept| {
            // It was read when it was put; a build that cannot read it asks nothing.
            let schema = kept.value.definition.schema.as_ref();
            let schema = schema.and_then(|schema| Schema::new(schema).ok());
            let entry = kept.value;
            Arc::new(KnownType { entry, schema })
        });
        self.known.remember(name, known.clone());
        Ok(known)
    }

    /// Keeps a type over what is expected.
    pub(super) async fn put(
        &self,
        name: &str,
        entry: EventTypeEntry,
        expected: Expected,
    ) -> Result<Kept<EventTypeEntry>, Problem> {
        let put = self.documents.put(name, &entry, expected, None);
        let revision = put.await?.ok_or_else(|| conflict(expected))?;
        self.known.forget(name);
        Ok(Kept {
            id: name.to_owned(),
            value: entry,
            revision,
        })
    }

    /// Drops a type, if it is the one that is expected.
    pub(super) async fn delete(&self, name: &str, expected: Expected) -> Result<(), Problem> {
        let deleted = self.documents.delete_if(name, expected).await?;
        self.known.forget(name);
        match deleted {
            Deleted::Conflict => Err(conflict(expected)),
            _ => Ok(()),
        }
    }

    /// Refuses so many types more than there may be.
    pub(super) async fn has_room_for(&self, more: usize) -> Result<(), Problem> {
        let kept = self.documents.list::<EventTypeEntry>(None, false, MOST);
        let count = kept.await?.len();
        if count + more <= MOST {
            return Ok(());
        }
        let detail = format!("the catalogue has {count} types, and {MOST} is the most");
        Err(invalid(detail, "/name"))
    }
}

/// What is there is not what was expected.
pub(super) fn conflict(expected: Expected) -> Problem {
    match expected {
        Expected::Absent => Problem::exists("there is an event type of this name already"),
        _ => Problem::changed("the event type was changed meanwhile"),
    }
}
