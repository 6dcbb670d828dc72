//! One type of events in the catalogue.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use webhooks_core::{EventType, Timestamp};

use super::schema::{self, Schema};
use crate::problem::Problem;

/// The longest title and group, in bytes.
const MAX_NAME: usize = 256;
/// The longest description, in bytes.
const MAX_DESCRIPTION: usize = 4_096;
/// Examples of one type at most.
const MAX_EXAMPLES: usize = 16;
/// Tenants by name that see one type at most.
const MAX_TENANTS: usize = 256;

/// What is said of a type of events, and asked of their data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = EventTypeDefinition)]
pub(crate) struct EventTypeDefinition {
    /// What people call it, at most 256 bytes.
    pub(crate) title: String,
    /// When such events are sent, at most 4,096 bytes.
    pub(crate) description: String,
    /// What it is listed under, at most 256 bytes.
    pub(crate) group: Option<String>,
    /// The JSON Schema of the data of such events: draft 2020-12, or what its `$schema` says. A `$ref`
    /// leads to a place of the same schema.
    #[schema(value_type = Option<Value>)]
    pub(crate) schema: Option<Value>,
    /// Data of such events, at most 16.
    #[schema(value_type = Vec<Value>)]
    pub(crate) examples: Vec<Value>,
    /// There is a better one.
    pub(crate) deprecated: bool,
    /// It is not offered any more.
    pub(crate) archived: bool,
    /// Which tenants see it in the catalogue.
    pub(crate) visible_to: VisibleTo,
    /// What becomes of an event whose data does not follow the schema.
    pub(crate) validate: Validate,
}

/// Which tenants see a type: `"all"`, or those that are named, at most 256.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged, expecting = "needs \"all\" or a list of tenants")]
pub(crate) enum VisibleTo {
    /// Every tenant.
    Everyone(Everyone),
    /// These.
    Tenants(Vec<String>),
}

/// Every tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) enum Everyone {
    /// The word for it.
    #[serde(rename = "all")]
    All,
}

impl Default for VisibleTo {
    fn default() -> Self {
        Self::Everyone(Everyone::All)
    }
}

/// What becomes of an event whose data does not follow the schema of its type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Validate {
    /// It is sent.
    #[default]
    Off,
    /// It is sent; who sends it is told.
    Warn,
    /// It is refused.
    Reject,
}

/// A type as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct EventTypeEntry {
    /// What is said of it.
    pub(crate) definition: EventTypeDefinition,
    /// When it came into the catalogue.
    pub(crate) created_at: Timestamp,
    /// When it was last changed.
    pub(crate) updated_at: Timestamp,
}

impl EventTypeDefinition {
    /// Checks a definition that is to be kept under this name; its schema, ready to be used.
    pub(crate) fn check(&self, name: &str) -> Result<Option<Schema>, Problem> {
        EventType::new(name).map_err(|error| invalid(error.to_string(), "/name"))?;
        longest("title", &self.title, MAX_NAME)?;
        longest("description", &self.description, MAX_DESCRIPTION)?;
        longest("group", self.group.as_deref().unwrap_or_default(), MAX_NAME)?;
        most("examples", self.examples.len(), MAX_EXAMPLES)?;
        if let VisibleTo::Tenants(tenants) = &self.visible_to {
            most("visible_to", tenants.len(), MAX_TENANTS)?;
            for tenant in tenants {
                longest("visible_to", tenant, MAX_NAME)?;
            }
        }
        if self.validate != Validate::Off && !schema::ARE_CHECKED {
            let detail = "validate must be off: this server was built without schemas";
            return Err(invalid(detail, "/validate"));
        }
        let Some(schema) = &self.schema else {
            return match self.validate {
                Validate::Off => Ok(None),
                _ => Err(invalid("validate needs a schema", "/validate")),
            };
        };
        let schema = Schema::new(schema).map_err(|text| invalid(text, "/schema"))?;
        for (index, example) in self.examples.iter().enumerate() {
            if let Some(broken) = schema.broken(example).into_iter().next() {
                let text = format!("examples[{index}] does not follow the schema: {broken}");
                return Err(invalid(text, &format!("/examples/{index}")));
            }
        }
        Ok(Some(schema))
    }

    /// Whether callers of this tenant see it; those who run the system see all.
    pub(crate) fn is_visible_to(&self, tenant: Option<&str>) -> bool {
        match (&self.visible_to, tenant) {
            (_, None) | (VisibleTo::Everyone(_), _) => true,
            (VisibleTo::Tenants(tenants), Some(tenant)) => tenants.iter().any(|of| of == tenant),
        }
    }
}

/// Refuses a text that is longer than so many bytes, or holds control characters.
fn longest(field: &str, text: &str, bytes: usize) -> Result<(), Problem> {
    let is_control = |c: char| c.is_control() && c != '\n';
    if text.len() <= bytes && !text.contains(is_control) {
        return Ok(());
    }
    let detail = format!("{field} needs at most {bytes} bytes without control characters");
    Err(invalid(detail, &format!("/{field}")))
}

/// Refuses a list that has more than so many items.
fn most(field: &str, items: usize, most: usize) -> Result<(), Problem> {
    if items <= most {
        return Ok(());
    }
    let detail = format!("{field} has {items} items, it needs at most {most}");
    Err(invalid(detail, &format!("/{field}")))
}

/// A definition that breaks a rule.
pub(super) fn invalid(detail: impl Into<String>, pointer: &str) -> Problem {
    Problem::invalid("invalid-event-type", detail.into()).at(pointer)
}
