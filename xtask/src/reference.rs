//! `cargo xtask reference`: the page of the API's routes, from its document.

mod document;
mod example;
mod markdown;
mod route;
mod shape;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value};

use self::markdown::anchor;
use self::route::Route;
use crate::workspace::array;
use crate::{Result, files};

const DOCUMENT: &str = "docs/openapi.json";
const PAGE: &str = "docs/api-reference.md";
const COMMAND: &str = "cargo xtask reference";
/// What a reader has to know for all routes.
const HEAD: &str = "\
# API reference

Each route of the HTTP API, made from [openapi.json](openapi.json) by `cargo xtask reference`.
[server.md](server.md) explains keys, jobs, exports and the stream.

- `$WEBHOOKS` in the examples is where the server is, with its prefix (`http://127.0.0.1:8700`), `$KEY` a key.
- A scope is what a key must have: its own, or that of its role.
- Every failure is a [Problem](#problem), `application/problem+json`.
- A path parameter is percent-encoded.
";

/// Writes the page.
pub(crate) fn run() -> Result {
    files::write(Path::new(PAGE), &page(&document()?))
}

/// Fails if the page is not the one of the document.
pub(crate) fn check() -> Result {
    let known = fs::read_to_string(PAGE).map_err(|e| format!("{PAGE}: {e}"))?;
    if known == page(&document()?) {
        return Ok(());
    }
    Err(format!("{PAGE} is not what {DOCUMENT} says: run {COMMAND}"))
}

/// The document, as the server's tests keep it.
fn document() -> Result<Value> {
    let json = fs::read_to_string(DOCUMENT).map_err(|e| format!("{DOCUMENT}: {e}"))?;
    serde_json::from_str(&json).map_err(|e| format!("{DOCUMENT}: {e}"))
}

/// The whole page: contents, routes by tag, shapes.
fn page(document: &Value) -> String {
    let by_tag = routes(document);
    let mut page = HEAD.to_owned();
    for (tag, routes) in &by_tag {
        page += &format!("\n**[{}](#{})**\n\n| | |\n|---|---|\n", tag, anchor(tag));
        for route in routes {
            page += &route.row();
        }
    }
    for (tag, routes) in &by_tag {
        page += &format!("\n## {tag}\n");
        routes.iter().for_each(|route| page += &route.section());
    }
    page += "\n## Shapes\n\nThe JSON that requests and answers carry.\n";
    for (name, schema) in schemas(document).into_iter().flatten() {
        page += &shape::section(name, schema);
    }
    page
}

/// The routes under the first of their tags, in the order of the document.
fn routes(document: &Value) -> BTreeMap<&str, Vec<Route<'_>>> {
    let mut by_tag: BTreeMap<&str, Vec<Route<'_>>> = BTreeMap::new();
    let paths = document.get("paths").and_then(Value::as_object);
    for (path, methods) in paths.into_iter().flatten() {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            let tag = array(operation, "tags").next().and_then(Value::as_str);
            let route = Route::new(document, path, method, operation);
            by_tag
                .entry(tag.unwrap_or("others"))
                .or_default()
                .push(route);
        }
    }
    by_tag
}

/// The schemas that have names.
fn schemas(document: &Value) -> Option<&Map<String, Value>> {
    document.pointer("/components/schemas")?.as_object()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_route_is_shown_with_all_that_a_caller_must_know() {
        let document = json!({
            "paths": { "/things/{id}": { "put": {
                "tags": ["things"],
                "summary": "Saves it. Needs `things:write`.",
                "parameters": [
                    { "in": "path", "name": "id", "required": true, "schema": { "type": "string" } },
                    { "in": "header", "name": "If-Match", "required": true, "description": "a|b",
                      "schema": { "type": "string" } },
                ],
                "requestBody": { "required": true, "content": { "application/json": {
                    "schema": { "$ref": "#/components/schemas/Thing" } } } },
                "responses": { "200": { "description": "Saved", "content": { "application/json": {
                    "schema": { "$ref": "#/components/schemas/Thing" } } } } },
            } } },
            "components": { "schemas": {
                "Scope": { "enum": ["things:write"], "type": "string" },
                "Thing": { "type": "object", "required": ["n"], "properties": {
                    "n": { "type": "integer", "minimum": 3, "description": "How many." } } },
            } },
        });
        let page = page(&document);
        for part in [
            "### `PUT /things/{id}`",
            "Scope: `things:write`",
            "| `If-Match` | header | string | yes | a\\|b |",
            "Body: [Thing](#thing) as `application/json`",
            "| 200 | Saved | [Thing](#thing) |",
            "-X PUT \"$WEBHOOKS/things/ID\"",
            "-d '{\"n\":3}'",
            "| `n` | integer, at least 3 | yes | How many. |",
        ] {
            assert!(page.contains(part), "{part} is not in\n{page}");
        }
    }

    #[test]
    fn headings_have_the_anchors_that_pages_give_them() {
        assert_eq!(anchor("GET /api/v1/api-keys/{id}"), "get-apiv1api-keysid");
        assert_eq!(anchor("dead letters"), "dead-letters");
    }
}
