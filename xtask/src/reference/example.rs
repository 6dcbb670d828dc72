//! A value that a schema takes, with no more than it needs.

use serde_json::{Map, Value, json};

use super::document::resolve;
use crate::workspace::{array, text};

/// Bodies in which one of several fields is needed, which the document cannot say.
const CHOSEN: [(&str, &str); 4] = [
    (
        "JobInput",
        r#"{"action":"replay","filter":{"endpoint_id":["billing"]}}"#,
    ),
    ("KeyRequest", r#"{"name":"shop","role":"operator"}"#),
    ("KeyPatch", r#"{"name":"shop"}"#),
    ("RotateInput", r#"{"overlap_seconds":86400}"#),
];

/// An example of a schema.
pub(super) fn of(document: &Value, schema: &Value) -> Value {
    let name = text(schema, "$ref").rsplit('/').next().unwrap_or_default();
    let chosen = CHOSEN.iter().find(|(of, _)| *of == name);
    if let Some(chosen) = chosen.and_then(|(_, json)| serde_json::from_str(json).ok()) {
        return chosen;
    }
    named(document, "", schema)
}

/// An example of a schema for a field of this name.
fn named(document: &Value, name: &str, schema: &Value) -> Value {
    let schema = resolve(document, schema);
    let given = schema
        .get("example")
        .or_else(|| array(schema, "enum").next());
    if let Some(given) = given {
        return given.clone();
    }
    for key in ["oneOf", "anyOf", "allOf"] {
        if let Some(first) = array(schema, key).next() {
            return named(document, name, first);
        }
    }
    let kind = match schema.get("type") {
        Some(Value::Array(some)) => some.first().and_then(Value::as_str),
        kind => kind.and_then(Value::as_str),
    };
    match kind {
        Some("object") => object(document, schema),
        Some("array") => {
            let items = schema.get("items").unwrap_or(&Value::Null);
            json!([named(document, name, items)])
        }
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or(json!(1)),
        Some("boolean") => json!(true),
        Some("string") if name == "url" => json!("https://example.com/hooks"),
        Some("string") => json!(name),
        _ => json!({ "id": 42 }),
    }
}

/// What an object needs; the first of its fields if it needs none.
fn object(document: &Value, schema: &Value) -> Value {
    let needed: Vec<&str> = array(schema, "required")
        .filter_map(Value::as_str)
        .collect();
    let fields = schema.get("properties").and_then(Value::as_object);
    let fields = fields.into_iter().flatten();
    let shown = fields
        .filter(|(name, _)| needed.is_empty() || needed.contains(&name.as_str()))
        .take(if needed.is_empty() { 1 } else { usize::MAX })
        .map(|(name, field)| (name.clone(), named(document, name, field)));
    Value::Object(Map::from_iter(shown))
}
