//! The OpenAPI document.

use serde_json::Value;

use crate::workspace::text;

/// The schema itself, or the one that it refers to.
pub(super) fn resolve<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let path = text(schema, "$ref").strip_prefix('#').unwrap_or_default();
    if path.is_empty() {
        return schema;
    }
    document.pointer(path).unwrap_or(schema)
}
