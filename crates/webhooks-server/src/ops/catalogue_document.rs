//! The catalogue as a document: OpenAPI 3.1 with `webhooks`, or JSON Schemas by name.
//!
//! What is written describes the requests that endpoints get: the envelope, with the data of the type
//! in it. What is read may describe that, or the data alone.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::event_type::EventTypeDefinition;

/// Where OpenAPI keeps schemas that others refer to.
const COMPONENTS: &str = "#/components/schemas/";
/// Where JSON Schema does.
const DEFINITIONS: &str = "#/$defs/";

/// A type that a document tells.
#[derive(Debug)]
pub(super) struct Imported {
    pub(super) name: String,
    pub(super) told: Told,
    /// Where in the document, as a JSON pointer.
    pub(super) pointer: String,
}

/// What a document tells of a type; the rest stays as it is.
#[derive(Debug, Default)]
pub(super) struct Told {
    title: Option<String>,
    description: Option<String>,
    group: Option<String>,
    schema: Option<Value>,
    examples: Option<Vec<Value>>,
    deprecated: Option<bool>,
}

impl Told {
    /// A definition with what is told in it.
    pub(super) fn over(self, mut of: EventTypeDefinition) -> EventTypeDefinition {
        of.title = self.title.unwrap_or(of.title);
        of.description = self.description.unwrap_or(of.description);
        of.group = self.group.or(of.group);
        of.schema = self.schema.or(of.schema);
        of.examples = self.examples.unwrap_or(of.examples);
        of.deprecated = self.deprecated.unwrap_or(of.deprecated);
        of
    }
}

/// Reads a document.
///
/// # Errors
///
/// What is wrong, and where.
pub(super) fn read(document: Value) -> Result<Vec<Imported>, (String, String)> {
    let Value::Object(mut document) = document else {
        return Err(("the document must be an object".into(), String::new()));
    };
    if !document.contains_key("openapi") {
        let schemas = document.into_iter().map(|(name, schema)| Imported {
            pointer: pointer(&[&name]),
            told: of_schema(schema),
            name,
        });
        return Ok(schemas.collect());
    }
    let components = document
        .get("components")
        .and_then(|components| components.get("schemas")?.as_object())
        .cloned()
        .unwrap_or_default();
    let Some(Value::Object(webhooks)) = document.remove("webhooks") else {
        let text = "an OpenAPI document needs webhooks, by the names of event types";
        return Err((text.into(), "/webhooks".into()));
    };
    let read = webhooks.into_iter().map(|(name, item)| {
        let pointer = pointer(&["webhooks", &name]);
        let told = of_operation(&name, &item, &components);
        let told = told.ok_or_else(|| ("it needs a post".to_owned(), pointer.clone()))?;
        Ok(Imported {
            name,
            told,
            pointer,
        })
    });
    read.collect()
}

/// What a schema alone tells.
fn of_schema(schema: Value) -> Told {
    let text = |name| Some(schema.get(name)?.as_str()?.to_owned());
    Told {
        title: text("title"),
        description: text("description"),
        examples: schema.get("examples").and_then(Value::as_array).cloned(),
        schema: Some(schema),
        ..Told::default()
    }
}

/// What an operation of an OpenAPI document tells; `None` if there is no `post`.
fn of_operation(name: &str, item: &Value, components: &Map<String, Value>) -> Option<Told> {
    let post = item.get("post")?.as_object()?;
    let text = |field| Some(post.get(field)?.as_str()?.to_owned());
    let media = post
        .get("requestBody")
        .and_then(|body| body.get("content")?.get("application/json"));
    let schema = media
        .and_then(|media| media.get("schema"))
        .map(|schema| self_contained(schema, components));
    let data_of = |value: &Value| value.get("data").cloned().unwrap_or(Value::Null);
    let is_envelope = schema
        .as_ref()
        .is_some_and(|schema| is_envelope(schema, name));
    let examples = media.and_then(|media| media.get("examples")?.as_object());
    let examples = examples.map(|examples| {
        let values = examples.values().filter_map(|example| example.get("value"));
        let values = values.map(|value| match is_envelope {
            true => data_of(value),
            false => value.clone(),
        });
        values.collect()
    });
    let schema = schema.map(|schema| match is_envelope {
        true => data_schema(schema),
        false => schema,
    });
    Some(Told {
        title: text("summary"),
        description: text("description"),
        group: (post.get("tags"))
            .and_then(|tags| tags.get(0)?.as_str())
            .map(str::to_owned),
        // That of an envelope whose data may be anything says nothing.
        schema: schema.filter(|schema| *schema != json!(true)),
        examples,
        deprecated: post.get("deprecated").and_then(Value::as_bool),
    })
}

/// Whether a schema describes the whole request of this type.
fn is_envelope(schema: &Value, name: &str) -> bool {
    let event = schema.pointer("/properties/event/const");
    event.and_then(Value::as_str) == Some(name)
}

/// The schema of the data in that of an envelope.
fn data_schema(mut envelope: Value) -> Value {
    let data = envelope.pointer_mut("/properties/data").map(Value::take);
    let mut data = data.unwrap_or(json!(true));
    let definitions = envelope.get_mut("$defs").map(Value::take);
    if let (Some(data), Some(definitions)) = (data.as_object_mut(), definitions) {
        data.insert("$defs".into(), definitions);
    }
    data
}

/// A schema with those components that it leads to beside it, so that it stands alone.
fn self_contained(schema: &Value, components: &Map<String, Value>) -> Value {
    let mut schema = schema.clone();
    let mut wanted = BTreeSet::new();
    lead_to_definitions(&mut schema, &mut wanted);
    let mut definitions = Map::new();
    while let Some(name) = wanted.pop_first() {
        if definitions.contains_key(&name) {
            continue;
        }
        // What there is not is told when the schema is read.
        let Some(component) = components.get(&name) else {
            continue;
        };
        let mut component = component.clone();
        lead_to_definitions(&mut component, &mut wanted);
        definitions.insert(name, component);
    }
    if let Some(object) = schema.as_object_mut().filter(|_| !definitions.is_empty()) {
        object.insert("$defs".into(), definitions.into());
    }
    schema
}

/// Turns each `$ref` to a component into one to a definition of the same schema, and names those.
fn lead_to_definitions(value: &mut Value, wanted: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => {
            for item in items {
                lead_to_definitions(item, wanted);
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(to) if name == "$ref" => {
                        if let Some(component) = to.strip_prefix(COMPONENTS) {
                            wanted.insert(component.to_owned());
                            *to = format!("{DEFINITIONS}{component}");
                        }
                    }
                    other => lead_to_definitions(other, wanted),
                }
            }
        }
        _ => {}
    }
}

/// The catalogue as an OpenAPI document.
pub(super) fn write(types: &BTreeMap<String, EventTypeDefinition>) -> Value {
    let webhooks: Map<_, _> = types
        .iter()
        .map(|(name, of)| (name.clone(), json!({ "post": operation(name, of) })))
        .collect();
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Webhooks", "version": "1" },
        "webhooks": webhooks,
    })
}

/// One type as an operation.
fn operation(name: &str, of: &EventTypeDefinition) -> Value {
    let mut data = of.schema.clone().unwrap_or(json!(true));
    let definitions = data
        .as_object_mut()
        .and_then(|schema| schema.remove("$defs"));
    let mut schema = json!({
        "type": "object",
        "required": ["id", "event", "timestamp", "data"],
        "properties": {
            "id": { "type": "string" },
            "event": { "const": name },
            "timestamp": { "type": "string", "format": "date-time" },
            "data": data,
        },
    });
    if let (Some(schema), Some(definitions)) = (schema.as_object_mut(), definitions) {
        schema.insert("$defs".into(), definitions);
    }
    let examples = of.examples.iter().enumerate().map(|(index, data)| {
        let value = json!({
            "id": "webhook_0198c5d0-0000-7000-8000-000000000000",
            "event": name,
            "timestamp": "2026-01-01T00:00:00.000Z",
            "data": data,
        });
        (format!("example-{}", index + 1), json!({ "value": value }))
    });
    let examples: Map<_, _> = examples.collect();
    let mut operation = json!({
        "summary": of.title,
        "description": of.description,
        "deprecated": of.deprecated,
        "requestBody": { "content": { "application/json": { "schema": schema, "examples": examples } } },
        "responses": { "2XX": { "description": "It was accepted" } },
    });
    if let (Some(operation), Some(group)) = (operation.as_object_mut(), &of.group) {
        operation.insert("tags".into(), json!([group]));
    }
    operation
}

/// A JSON pointer (RFC 6901) along these names.
fn pointer(names: &[&str]) -> String {
    let escaped = names
        .iter()
        .map(|name| format!("/{}", name.replace('~', "~0").replace('/', "~1")));
    escaped.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_catalogue_survives_its_document() {
        let definition = EventTypeDefinition {
            title: "A user signed up".into(),
            description: "Once for each".into(),
            group: Some("users".into()),
            schema: Some(
                json!({ "$defs": { "id": { "type": "string" } }, "type": "object", "properties": { "id": { "$ref": "#/$defs/id" } } }),
            ),
            examples: vec![json!({ "id": "1" })],
            deprecated: true,
            ..EventTypeDefinition::default()
        };
        let any = EventTypeDefinition::default();
        let types = BTreeMap::from([("user.created".to_owned(), definition), ("a".into(), any)]);
        let read = read(write(&types)).unwrap();
        let read = read
            .into_iter()
            .map(|of| (of.name, of.told.over(EventTypeDefinition::default())));
        assert_eq!(read.collect::<BTreeMap<_, _>>(), types);
    }

    #[test]
    fn components_come_with_the_schema_that_leads_to_them() {
        let document = json!({
            "openapi": "3.1.0",
            "components": { "schemas": {
                "User": { "properties": { "home": { "$ref": "#/components/schemas/Address" } } },
                "Address": { "properties": { "owner": { "$ref": "#/components/schemas/User" } } },
                "Unused": {},
            } },
            "webhooks": { "user.created": { "post": { "requestBody": { "content": {
                "application/json": { "schema": { "$ref": "#/components/schemas/User" } },
            } } } } },
        });
        let told = read(document).unwrap().remove(0).told;
        let schema = told.schema.unwrap();
        assert_eq!(schema["$ref"], "#/$defs/User");
        let definitions = schema["$defs"].as_object().unwrap();
        assert_eq!(definitions.keys().collect::<Vec<_>>(), ["Address", "User"]);
        let home = &schema["$defs"]["User"]["properties"]["home"]["$ref"];
        assert_eq!(home, "#/$defs/Address");
    }

    #[test]
    fn what_is_no_catalogue_is_refused_with_its_place() {
        for (document, place) in [
            (json!([]), ""),
            (json!({ "openapi": "3.1.0" }), "/webhooks"),
            (
                json!({ "openapi": "3.1.0", "webhooks": { "a/b": {} } }),
                "/webhooks/a~1b",
            ),
        ] {
            assert_eq!(read(document).unwrap_err().1, place);
        }
    }
}
