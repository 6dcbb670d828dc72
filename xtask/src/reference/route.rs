//! One route of the reference.

use serde_json::{Value, json};

use super::markdown::{anchor, cell};
use super::{example, shape};
use crate::workspace::{array, text};

/// A method on a path, as the document describes it.
#[derive(Debug)]
pub(super) struct Route<'a> {
    document: &'a Value,
    path: &'a str,
    method: String,
    operation: &'a Value,
}

impl<'a> Route<'a> {
    /// The route of an operation.
    pub(super) fn new(
        document: &'a Value,
        path: &'a str,
        method: &str,
        operation: &'a Value,
    ) -> Self {
        Self {
            document,
            path,
            method: method.to_uppercase(),
            operation,
        }
    }

    /// Its line of the contents.
    pub(super) fn row(&self) -> String {
        let title = self.title();
        let said = cell(text(self.operation, "summary"));
        let first = said.split_once(". ").map_or(said.as_str(), |parts| parts.0);
        let first = first.trim_end_matches('.');
        format!("| [`{title}`](#{}) | {first} |\n", anchor(&title))
    }

    /// Everything about it.
    pub(super) fn section(&self) -> String {
        let mut section = format!("\n### `{}`\n\n", self.title());
        for name in ["summary", "description"] {
            let said = text(self.operation, name);
            if !said.is_empty() {
                section += &format!("{said}\n\n");
            }
        }
        section += &format!("{}\n", self.scope());
        section += &self.parameters();
        section += &self.body();
        section += &self.answers();
        section + &format!("\n```sh\n{}\n```\n", self.call())
    }

    /// Its heading.
    fn title(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// The scopes that its text names: the first one counts for all of it.
    fn scope(&self) -> String {
        let security = self.operation.get("security");
        // An operation has its own security in the document only if it is not the usual one.
        let open = security.is_some_and(|security| [json!([]), json!([{}])].contains(security));
        if open {
            return "Scope: none, and no key.".to_owned();
        }
        let known = self.document.pointer("/components/schemas/Scope");
        let known: Vec<&str> = known
            .into_iter()
            .flat_map(|scope| array(scope, "enum").filter_map(Value::as_str))
            .collect();
        let said = text(self.operation, "summary");
        // Every second part stands between backticks.
        let quoted = said.split('`').skip(1).step_by(2);
        let mut named: Vec<&str> = quoted.filter(|word| known.contains(word)).collect();
        named.dedup();
        match named.as_slice() {
            [] => "Scope: any key.".to_owned(),
            [all] => format!("Scope: `{all}`."),
            [all, some @ ..] => {
                format!("Scope: `{all}`; for some of it `{}`.", some.join("`, `"))
            }
        }
    }

    /// A table of its parameters, if it has some.
    fn parameters(&self) -> String {
        let mut rows = String::new();
        for parameter in array(self.operation, "parameters") {
            let kind = parameter.get("schema").map(shape::kind);
            rows += &format!(
                "| `{}` | {} | {} | {} | {} |\n",
                text(parameter, "name"),
                text(parameter, "in"),
                cell(&kind.unwrap_or_default()),
                if is_required(parameter) { "yes" } else { "" },
                cell(text(parameter, "description")),
            );
        }
        if rows.is_empty() {
            return rows;
        }
        format!("\n| parameter | in | type | required | |\n|---|---|---|---|---|\n{rows}")
    }

    /// What its requests carry, if they do.
    fn body(&self) -> String {
        let Some((kind, schema)) = self.content() else {
            return String::new();
        };
        let body = self.operation.get("requestBody").is_some_and(is_required);
        let left_out = if body { "" } else { ", which may be left out" };
        format!("\nBody: {} as `{kind}`{left_out}.\n", shape::kind(schema))
    }

    /// A table of its answers, the usual ones first.
    fn answers(&self) -> String {
        let mut rows = String::new();
        let answers = self.operation.get("responses").and_then(Value::as_object);
        for (status, answer) in answers.into_iter().flatten() {
            let status = if status == "default" { "else" } else { status };
            let said = cell(text(answer, "description"));
            let content = answer.get("content").and_then(Value::as_object);
            let bodies = content.into_iter().flatten().map(|(kind, content)| {
                let shape = content.get("schema").map(shape::kind).unwrap_or_default();
                if kind.ends_with("json") && !kind.contains("ndjson") {
                    return shape;
                }
                format!("{shape} as `{kind}`")
            });
            let bodies: Vec<String> = bodies.collect();
            rows += &format!("| {status} | {said} | {} |\n", cell(&bodies.join(", or ")));
        }
        format!("\n| answer | | body |\n|---|---|---|\n{rows}")
    }

    /// A call by `curl`, with no more than it needs.
    fn call(&self) -> String {
        let parts = self.path.split('/').map(|part| {
            let name = part
                .strip_prefix('{')
                .and_then(|name| name.strip_suffix('}'));
            name.map_or(part.to_owned(), str::to_uppercase)
        });
        let path: Vec<String> = parts.collect();
        let mut call = match self.method.as_str() {
            "GET" => "curl".to_owned(),
            method => format!("curl -X {method}"),
        };
        call += &format!(" \"$WEBHOOKS{}{}\"", path.join("/"), self.query());
        call += " -H \"Authorization: Bearer $KEY\"";
        for parameter in array(self.operation, "parameters") {
            let name = text(parameter, "name");
            // The document cannot say that one of two headers is needed.
            if text(parameter, "in") == "header" && (is_required(parameter) || name == "If-Match") {
                call += &format!(" \\\n  -H '{name}: \"1\"'");
            }
        }
        let content = self.content();
        let needed = self.operation.get("requestBody").is_some_and(is_required);
        if let Some((kind, schema)) = content.filter(|_| needed) {
            let body = example::of(self.document, self.described(schema));
            call += &format!(" \\\n  -H 'Content-Type: {kind}' \\\n  -d '{body}'");
        }
        call
    }

    /// The query that it cannot go without.
    fn query(&self) -> String {
        let needed = array(self.operation, "parameters")
            .filter(|parameter| text(parameter, "in") == "query" && is_required(parameter));
        let pairs = needed.map(|parameter| {
            let value = parameter.get("schema").unwrap_or(&Value::Null);
            let value = example::of(self.document, value);
            let value = value.as_str().map_or(value.to_string(), str::to_owned);
            format!("{}={value}", text(parameter, "name"))
        });
        let pairs: Vec<String> = pairs.collect();
        if pairs.is_empty() {
            return String::new();
        }
        format!("?{}", pairs.join("&"))
    }

    /// The kind and the schema of its body.
    fn content(&self) -> Option<(&'a str, &'a Value)> {
        let content = self
            .operation
            .pointer("/requestBody/content")?
            .as_object()?;
        let (kind, content) = content.iter().next()?;
        Some((kind, content.get("schema")?))
    }

    /// A patch is an object of any fields in the document: those of what is put on the same path.
    fn described(&self, schema: &'a Value) -> &'a Value {
        if schema.get("properties").is_some() || text(schema, "type") != "object" {
            return schema;
        }
        let paths = self.document.get("paths");
        let path = paths.and_then(|paths| paths.get(self.path));
        let put = path.and_then(|path| path.pointer("/put/requestBody/content"));
        let put = put.and_then(|content| content.pointer("/application~1json/schema"));
        put.unwrap_or(schema)
    }
}

/// Whether a parameter or a body must be there.
fn is_required(of: &Value) -> bool {
    of.get("required").and_then(Value::as_bool) == Some(true)
}
