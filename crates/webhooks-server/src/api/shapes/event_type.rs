//! Event types of the catalogue as callers see them.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::api::body::from_value;
use crate::documents::Kept;
use crate::ops::{EventTypeDefinition, EventTypeEntry, Import, Validate, VisibleTo};
use crate::problem::Problem;

/// Fields that are shown of a type and not defined by whoever puts it: ignored, so that what was got can
/// be put.
const READ_ONLY: [&str; 3] = ["created_at", "updated_at", "revision"];

/// A type of events.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventType)]
pub(in crate::api) struct EventTypeView {
    /// The type, as events have it.
    name: String,
    /// What people call it.
    title: String,
    /// When such events are sent.
    description: String,
    /// What it is listed under.
    group: Option<String>,
    /// The JSON Schema of their data.
    #[schema(value_type = Option<Value>)]
    schema: Option<Value>,
    /// Data of such events.
    #[schema(value_type = Vec<Value>)]
    examples: Vec<Value>,
    /// There is a better one.
    deprecated: bool,
    /// It is not offered any more.
    archived: bool,
    /// Which tenants see it; for those who run the system.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    visible_to: Option<VisibleTo>,
    /// What becomes of an event whose data does not follow the schema.
    validate: Validate,
    /// When it came into the catalogue.
    created_at: String,
    /// When it was last changed.
    updated_at: String,
    /// The number of its last change; in quotes it is the `ETag`.
    revision: u64,
}

impl EventTypeView {
    /// What is seen of a type; who else sees it is for those who run the system.
    pub(in crate::api) fn new(kept: Kept<EventTypeEntry>, is_tenant: bool) -> Self {
        let of = kept.value.definition;
        Self {
            name: kept.id,
            title: of.title,
            description: of.description,
            group: of.group,
            schema: of.schema,
            examples: of.examples,
            deprecated: of.deprecated,
            archived: of.archived,
            visible_to: (!is_tenant).then_some(of.visible_to),
            validate: of.validate,
            created_at: kept.value.created_at.to_string(),
            updated_at: kept.value.updated_at.to_string(),
            revision: kept.revision,
        }
    }
}

/// Reads a definition that is put under this name.
pub(in crate::api) fn definition(
    mut value: Value,
    name: &str,
) -> Result<EventTypeDefinition, Problem> {
    if let Some(fields) = value.as_object_mut() {
        for name in READ_ONLY {
            fields.remove(name);
        }
        if fields.remove("name").is_some_and(|told| told != *name) {
            let detail = "name is another than that of the path";
            return Err(Problem::invalid("invalid-event-type", detail).at("/name"));
        }
    }
    from_value(value)
}

/// What an import did, or would do: names of types.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[schema(as = Import)]
pub(in crate::api) struct ImportView {
    /// Types that were not there.
    created: Vec<String>,
    /// Types that are another than before.
    changed: Vec<String>,
    /// Types that are as they were.
    same: Vec<String>,
}

impl From<Import> for ImportView {
    fn from(import: Import) -> Self {
        Self {
            created: import.created,
            changed: import.changed,
            same: import.same,
        }
    }
}
