//! The catalogue of event types.
//!
//! # What is kept
//! One document for each type, under its name: the definition, when it was made and last changed. At
//! most 1,000 types are kept, and one import takes at most 500. Two servers that add the last type at
//! once may both succeed, since the number is read before the document is written.
//!
//! # Changes
//! Each change names the revision that it read. A caller's `If-Match` is compared with that revision
//! first; then the storage compares it again as it writes. So a change between the two is found, and
//! gets 412 `changed`. The audit entry is written before the change: a change without an entry cannot
//! be, an entry without a change can.
//!
//! # Deletion
//! A type is archived by default. Events of it can still be sent, and its history can still be read. A
//! purge removes the document; events of that type are then of an unknown type.
//!
//! # Import
//! All types of a document are read and checked before the first is written, so a wrong document changes
//! nothing. The writes themselves are one by one: an import that fails midway leaves those before it.
//! To import the same document again completes it, as a type that is the same already is not written.

use std::collections::BTreeMap;

use better_auth_webhooks::storage::Expected;
use serde_json::Value;

use super::audit::Action;
use super::catalogue_document::{self, Imported};
use super::event_type::{EventTypeDefinition, EventTypeEntry, invalid};
use super::operations::Ops;
use crate::access::{Caller, Scope};
use crate::documents::Kept;
use crate::problem::Problem;

/// Types that are read at a time.
const READ: usize = 100;
/// Types of one import at most.
const MAX_IMPORT: usize = 500;
/// The longest export, in bytes.
const MAX_EXPORT: usize = 8 << 20;

/// Which types; every field that is set must match.
#[derive(Clone, Debug, Default)]
pub(crate) struct EventTypeFilter {
    /// Types with this in their name, title or description.
    pub(crate) text: Option<String>,
    /// Types that are listed under this.
    pub(crate) group: Option<String>,
    /// Whether they are offered no more; `None` for either.
    pub(crate) archived: Option<bool>,
}

/// What an import did, or would do: names of types.
#[derive(Clone, Debug, Default)]
pub(crate) struct Import {
    pub(crate) created: Vec<String>,
    pub(crate) changed: Vec<String>,
    pub(crate) same: Vec<String>,
}

impl Ops {
    /// Types by name, behind the name `after`: one more than `limit` if there are more.
    ///
    /// # Errors
    ///
    /// 403 `scope-missing` without `event_types:read`.
    pub(crate) async fn event_types(
        &self,
        caller: &Caller,
        filter: &EventTypeFilter,
        mut after: Option<String>,
        limit: usize,
    ) -> Result<Vec<Kept<EventTypeEntry>>, Problem> {
        caller.needs(Scope::EventTypesRead)?;
        let mut found = Vec::new();
        loop {
            let documents = self.event_types.documents();
            let page = documents.list::<EventTypeEntry>(after, false, READ).await?;
            let is_last = page.len() < READ;
            after = page.last().map(|kept| kept.id.clone());
            let seen = page.into_iter().filter(|kept| {
                let definition = &kept.value.definition;
                definition.is_visible_to(caller.tenant.as_deref()) && filter.takes(kept)
            });
            found.extend(seen);
            if found.len() > limit {
                found.truncate(limit + 1);
                return Ok(found);
            }
            if is_last {
                return Ok(found);
            }
        }
    }

    /// The type of this name, if the caller may see it.
    ///
    /// # Errors
    ///
    /// 403 `scope-missing` without `event_types:read`; 404 `not-found` if there is none, or if the caller's
    /// tenant does not see it.
    pub(crate) async fn event_type(
        &self,
        caller: &Caller,
        name: &str,
    ) -> Result<Kept<EventTypeEntry>, Problem> {
        caller.needs(Scope::EventTypesRead)?;
        let found = self.stored_event_type(name).await?;
        let tenant = caller.tenant.as_deref();
        let seen = found.filter(|kept| kept.value.definition.is_visible_to(tenant));
        seen.ok_or_else(|| unknown(name))
    }

    /// Keeps a definition over the one that is expected; whether it is new, and what is there then.
    ///
    /// # Errors
    ///
    /// 403 `scope-missing` without `event_types:write`; 422 `invalid-event-type` with the field that breaks a
    /// rule, or if the catalogue is full; 409 `exists` if none was expected; 412 `changed` if another
    /// revision was.
    pub(crate) async fn put_event_type(
        &self,
        caller: &Caller,
        name: &str,
        definition: EventTypeDefinition,
        expected: Expected,
    ) -> Result<(bool, Kept<EventTypeEntry>), Problem> {
        caller.needs(Scope::EventTypesWrite)?;
        definition.check(name)?;
        let before = self.stored_event_type(name).await?;
        let expected = expected_of(before.as_ref(), expected)?;
        if before.is_none() {
            self.event_types.has_room_for(1).await?;
        }
        self.note(caller, Action::EventTypePut, name, Vec::new())
            .await?;
        let kept = self.keep_event_type(name, definition, before.as_ref(), expected);
        Ok((before.is_none(), kept.await?))
    }

    /// Archives a type, or drops it.
    ///
    /// # Errors
    ///
    /// 403 `scope-missing` without `event_types:write`; 404 `not-found`; 412 `changed`.
    pub(crate) async fn delete_event_type(
        &self,
        caller: &Caller,
        name: &str,
        expected: Expected,
        purge: bool,
    ) -> Result<(), Problem> {
        caller.needs(Scope::EventTypesWrite)?;
        let before = self.stored_event_type(name).await?;
        let before = before.ok_or_else(|| unknown(name))?;
        let expected = expected_of(Some(&before), expected)?;
        let action = match purge {
            true => Action::EventTypePurge,
            false => Action::EventTypeArchive,
        };
        self.note(caller, action, name, Vec::new()).await?;
        if purge {
            return self.event_types.delete(name, expected).await;
        }
        let definition = EventTypeDefinition {
            archived: true,
            ..before.value.definition.clone()
        };
        let kept = self.keep_event_type(name, definition, Some(&before), expected);
        kept.await.map(drop)
    }

    /// Takes types out of a document: an OpenAPI document with `webhooks`, or schemas by name. Of a type
    /// that is there, it changes what the document tells and leaves the rest.
    ///
    /// # Errors
    ///
    /// 403 `scope-missing` without `event_types:write`; 422 `invalid-event-type` with a pointer into the
    /// document; 409 or 412 if a type is made or changed by another caller while the import writes.
    pub(crate) async fn import_event_types(
        &self,
        caller: &Caller,
        document: Value,
        dry_run: bool,
    ) -> Result<Import, Problem> {
        caller.needs(Scope::EventTypesWrite)?;
        let imported = catalogue_document::read(document)
            .map_err(|(text, pointer)| invalid(text, &pointer))?;
        if !(1..=MAX_IMPORT).contains(&imported.len()) {
            let count = imported.len();
            let text = format!("the document has {count} event types, it needs 1 to {MAX_IMPORT}");
            return Err(invalid(text, ""));
        }
        let planned = self.planned(imported).await?;
        let new = planned.iter().filter(|planned| planned.before.is_none());
        self.event_types.has_room_for(new.count()).await?;
        if !dry_run && planned.iter().any(|planned| planned.is_change()) {
            let names = planned.iter().filter(|planned| planned.is_change());
            let names = names.map(|planned| planned.name.clone()).collect();
            self.note(caller, Action::EventTypeImport, "event-types", names)
                .await?;
        }
        let mut import = Import::default();
        for planned in planned {
            let list = match &planned.before {
                None => &mut import.created,
                Some(_) if planned.is_change() => &mut import.changed,
                Some(_) => &mut import.same,
            };
            list.push(planned.name.clone());
            if planned.is_change() && !dry_run {
                let before = planned.before.as_ref();
                let expected = expected_of(before, Expected::Any)?;
                self.keep_event_type(&planned.name, planned.definition, before, expected)
                    .await?;
            }
        }
        Ok(import)
    }

    /// The catalogue as the caller sees it, as an OpenAPI document, without what is archived.
    ///
    /// # Errors
    ///
    /// 403 `scope-missing` without `event_types:read`; 422 `too-large` if the types have more than 8 MiB.
    pub(crate) async fn export_event_types(
        &self,
        caller: &Caller,
        group: Option<String>,
    ) -> Result<Value, Problem> {
        let filter = EventTypeFilter {
            group,
            archived: Some(false),
            ..EventTypeFilter::default()
        };
        let types = self.event_types(caller, &filter, None, super::event_types::MOST);
        let mut bytes = 0;
        let mut by_name = BTreeMap::new();
        for kept in types.await? {
            bytes += serde_json::to_string(&kept.value).map_or(0, |text| text.len());
            if bytes > MAX_EXPORT {
                let text = format!("the catalogue has more than {MAX_EXPORT} bytes: name a group");
                return Err(Problem::invalid("too-large", text));
            }
            by_name.insert(kept.id, kept.value.definition);
        }
        Ok(catalogue_document::write(&by_name))
    }

    /// What an import would make of each type, all of it checked.
    async fn planned(&self, imported: Vec<Imported>) -> Result<Vec<Planned>, Problem> {
        let mut planned = Vec::with_capacity(imported.len());
        for of in imported {
            let before = self.stored_event_type(&of.name).await?;
            let stored = before.as_ref().map(|kept| kept.value.definition.clone());
            let definition = of.told.over(stored.unwrap_or_default());
            let checked = definition.check(&of.name);
            checked.map_err(|problem| {
                let text = format!("{}: {}", of.name, problem.detail());
                invalid(text, &of.pointer)
            })?;
            planned.push(Planned {
                name: of.name,
                definition,
                before,
            });
        }
        Ok(planned)
    }

    /// The type of this name, whoever asks.
    async fn stored_event_type(&self, name: &str) -> Result<Option<Kept<EventTypeEntry>>, Problem> {
        if webhooks_core::EventType::new(name).is_err() {
            return Ok(None);
        }
        self.event_types.documents().get(name).await
    }

    /// Keeps a definition that was checked.
    async fn keep_event_type(
        &self,
        name: &str,
        definition: EventTypeDefinition,
        before: Option<&Kept<EventTypeEntry>>,
        expected: Expected,
    ) -> Result<Kept<EventTypeEntry>, Problem> {
        let now = self.now()?;
        let entry = EventTypeEntry {
            definition,
            created_at: before.map_or(now, |kept| kept.value.created_at),
            updated_at: now,
        };
        self.event_types.put(name, entry, expected).await
    }
}

/// What an import makes of one type.
#[derive(Debug)]
struct Planned {
    name: String,
    definition: EventTypeDefinition,
    before: Option<Kept<EventTypeEntry>>,
}

impl Planned {
    /// Whether it is another than before.
    fn is_change(&self) -> bool {
        let before = self.before.as_ref();
        before.is_none_or(|kept| kept.value.definition != self.definition)
    }
}

impl EventTypeFilter {
    /// Whether this type matches.
    fn takes(&self, kept: &Kept<EventTypeEntry>) -> bool {
        let of = &kept.value.definition;
        let has_text = |text: &String| {
            let text = text.to_lowercase();
            let mut fields = [&kept.id, &of.title, &of.description].into_iter();
            fields.any(|field| field.to_lowercase().contains(&text))
        };
        self.text.as_ref().is_none_or(has_text)
            && (self.group.as_ref()).is_none_or(|group| of.group.as_ref() == Some(group))
            && self.archived.is_none_or(|archived| of.archived == archived)
    }
}

/// The revision that was read, if it is what the caller expects.
fn expected_of(
    before: Option<&Kept<EventTypeEntry>>,
    expected: Expected,
) -> Result<Expected, Problem> {
    let revision = before.map(|kept| kept.revision);
    if !expected.is_met_by(revision) {
        return Err(super::event_types::conflict(expected));
    }
    Ok(revision.map_or(Expected::Absent, Expected::Revision))
}

/// No such type that the caller may see.
fn unknown(name: &str) -> Problem {
    Problem::not_found(format!("there is no event type {name:?}"))
}
