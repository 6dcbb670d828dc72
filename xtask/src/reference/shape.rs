//! What a schema says, for people.

use serde_json::Value;

use super::markdown::{anchor, cell};
use crate::workspace::{array, text};

/// A schema of the document under its name, with a table of its fields.
pub(super) fn section(name: &str, schema: &Value) -> String {
    let mut section = format!("\n### {name}\n");
    let said = text(schema, "description");
    if !said.is_empty() {
        section += &format!("\n{said}\n");
    }
    let mut rows = String::new();
    fields(schema, &mut rows);
    if rows.is_empty() {
        return section + &format!("\nIt is {}.\n", kind(schema));
    }
    section + &format!("\n| field | type | always there | |\n|---|---|---|---|\n{rows}")
}

/// One line for each field of an object, and of those that it is made of.
fn fields(schema: &Value, to: &mut String) {
    for part in array(schema, "allOf") {
        let before = to.len();
        fields(part, to);
        let name = text(part, "$ref");
        if before == to.len() && !name.is_empty() {
            *to += &format!("| | {} | | all of its fields |\n", kind(part));
        }
    }
    let required: Vec<&str> = array(schema, "required")
        .filter_map(Value::as_str)
        .collect();
    let fields = schema.get("properties").and_then(Value::as_object);
    for (name, field) in fields.into_iter().flatten() {
        let always = if required.contains(&name.as_str()) {
            "yes"
        } else {
            ""
        };
        *to += &format!(
            "| `{name}` | {} | {always} | {} |\n",
            cell(&kind(field)),
            cell(description(field))
        );
    }
}

/// What a field says of itself, or the first of what it may be.
fn description(field: &Value) -> &str {
    let own = text(field, "description");
    if !own.is_empty() {
        return own;
    }
    let kinds = array(field, "oneOf").chain(array(field, "allOf"));
    kinds
        .map(|kind| text(kind, "description"))
        .find(|said| !said.is_empty())
        .unwrap_or_default()
}

/// The kind of a value, with its bounds.
pub(super) fn kind(schema: &Value) -> String {
    let name = text(schema, "$ref").rsplit('/').next().unwrap_or_default();
    if !name.is_empty() {
        return format!("[{name}](#{})", anchor(name));
    }
    let values: Vec<String> = array(schema, "enum").map(|v| format!("`{v}`")).collect();
    if !values.is_empty() {
        return values.join(", ").replace('"', "");
    }
    for (key, between) in [("oneOf", " or "), ("anyOf", " or "), ("allOf", " and ")] {
        let kinds: Vec<String> = array(schema, key).map(kind).collect();
        if !kinds.is_empty() {
            return kinds.join(between);
        }
    }
    let types = match schema.get("type") {
        Some(Value::String(one)) => vec![one.as_str()],
        Some(Value::Array(some)) => some.iter().filter_map(Value::as_str).collect(),
        _ => return "any JSON".to_owned(),
    };
    let kinds: Vec<String> = types.iter().map(|kind| typed(kind, schema)).collect();
    kinds.join(" or ")
}

/// One of the types that a schema names.
fn typed(kind_name: &str, schema: &Value) -> String {
    match kind_name {
        "array" => match schema.get("items") {
            Some(items) if items.is_object() => format!("array of {}", kind(items)),
            _ => {
                let items: Vec<String> = array(schema, "prefixItems").map(kind).collect();
                format!("array of {}", items.join(", "))
            }
        },
        "object" => object(schema),
        "integer" | "number" => format!("{kind_name}{}", bounds(schema, "minimum", "maximum", "")),
        "string" => format!(
            "string{}",
            bounds(schema, "minLength", "maxLength", " characters")
        ),
        other => other.to_owned(),
    }
}

/// An object that has no name of its own, with the names of its fields.
fn object(schema: &Value) -> String {
    let fields = schema.get("properties").and_then(Value::as_object);
    let fields: Vec<String> = fields
        .into_iter()
        .flatten()
        .map(|(name, field)| format!("`{name}` ({})", kind(field)))
        .collect();
    if !fields.is_empty() {
        return format!("object of {}", fields.join(", "));
    }
    match schema.get("additionalProperties") {
        Some(values) if values.is_object() => format!("object of any names with {}", kind(values)),
        _ => "object".to_owned(),
    }
}

/// The least and the most of a number or a length; a least of 0 goes without saying.
fn bounds(schema: &Value, least: &str, most: &str, unit: &str) -> String {
    let bound = |name| schema.get(name).and_then(Value::as_i64);
    match (bound(least).filter(|least| *least > 0), bound(most)) {
        (Some(least), Some(most)) => format!(", {least} to {most}{unit}"),
        (Some(least), None) => format!(", at least {least}{unit}"),
        (None, Some(most)) => format!(", at most {most}{unit}"),
        (None, None) => String::new(),
    }
}
