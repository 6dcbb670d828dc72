//! What has to be done so that an endpoint is what a file says.
//!
//! It only compares: who asks the server, and who shows it to people, is elsewhere. No credential gets into
//! what is shown.

use serde_json::{Map, Value, json};
use webhooks_core::{OnDead, OrderBy, SignatureScheme};

use crate::failure::Failure;
use crate::output::safe;

/// What is done with one endpoint.
#[derive(Debug)]
pub(super) enum Step {
    /// There is none of this id.
    Create(Map<String, Value>),
    /// It differs in these fields; all of it is written.
    Update(Map<String, Value>, Vec<Difference>),
    /// It is what the file says.
    Same,
    /// The file does not have it.
    Delete,
}

/// A field that differs. Credentials are not in it.
#[derive(Debug)]
pub(super) struct Difference {
    /// Its name.
    field: String,
    /// What is stored.
    from: Value,
    /// What the file says.
    to: Value,
}

/// What a field is that a definition leaves out.
fn default(field: &str) -> Option<Value> {
    Some(match field {
        "enabled" => true.into(),
        "description" => "".into(),
        "metadata" | "headers" => json!({}),
        "accepted_statuses" => json!([]),
        "timeout_seconds" => 0.into(),
        "signature" => serde_json::to_value(SignatureScheme::default()).ok()?,
        "ordering" => serde_json::to_value(OrderBy::default()).ok()?,
        "on_dead" => serde_json::to_value(OnDead::default()).ok()?,
        "tenant" | "content_type" | "user_agent" | "rate_limit" | "batch" | "filter" => Value::Null,
        _ => return None,
    })
}

/// Fields that are only shown: they are in no definition.
const READ_ONLY: [&str; 8] = [
    "secret_info",
    "public_keys",
    "revision",
    "created_at",
    "updated_at",
    "gate",
    "health",
    "counts",
];

impl Step {
    /// What makes a stored endpoint what is wanted. What is wanted has defaults for what it leaves out, and
    /// keeps fields of which nothing is known here.
    ///
    /// A credential cannot be compared with what is stored. It is written `with_credentials` alone.
    pub(super) fn to(
        wanted: &Map<String, Value>,
        stored: Value,
        with_credentials: bool,
    ) -> Result<Self, Failure> {
        let Value::Object(stored) = stored else {
            return Err(Failure::not_understood("an endpoint is no object"));
        };
        let mut whole = Map::new();
        let mut differences = Vec::new();
        for (field, from) in stored {
            if READ_ONLY.contains(&field.as_str()) {
                continue;
            }
            let to = wanted.get(&field).cloned().or_else(|| default(&field));
            let to = to.unwrap_or_else(|| from.clone());
            let to = match field.as_str() {
                "secret" => credential(to, from.clone(), with_credentials),
                "headers" => credentials(to, &from, with_credentials),
                _ => to,
            };
            if to != from {
                differences.push(Difference {
                    from: hidden(&field, from),
                    to: hidden(&field, to.clone()),
                    field: field.clone(),
                });
            }
            whole.insert(field, to);
        }
        let unknown = wanted
            .keys()
            .find(|field| !whole.contains_key(*field) && !READ_ONLY.contains(&field.as_str()));
        if let Some(field) = unknown {
            return Err(Failure::usage(format!("there is no field {field:?}")));
        }
        Ok(match differences.is_empty() {
            true => Self::Same,
            false => Self::Update(whole, differences),
        })
    }

    /// The word for it.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Create(_) => "create",
            Self::Update(..) => "update",
            Self::Same => "same",
            Self::Delete => "delete",
        }
    }

    /// As people read it, with each difference on a line.
    pub(super) fn to_text(&self, id: &str) -> String {
        let sign = match self {
            Self::Create(_) => '+',
            Self::Update(..) => '~',
            Self::Same => '=',
            Self::Delete => '-',
        };
        let mut text = format!("{sign} {}", safe(id));
        if let Self::Update(_, differences) = self {
            for of in differences {
                let (from, to) = (of.from.to_string(), of.to.to_string());
                let line = format!("\n    {}: {} -> {}", of.field, safe(&from), safe(&to));
                text.push_str(&line);
            }
        }
        text
    }

    /// As programs read it.
    pub(super) fn to_json(&self, id: &str) -> Value {
        let mut json = json!({ "id": id, "action": self.name() });
        if let Self::Update(_, differences) = self {
            let changes = differences.iter();
            let changes =
                changes.map(|of| (of.field.clone(), json!({ "from": of.from, "to": of.to })));
            let changes = Value::Object(changes.collect());
            if let Some(fields) = json.as_object_mut() {
                fields.insert("changes".to_owned(), changes);
            }
        }
        json
    }
}

/// A credential as it is written.
fn credential(to: Value, stored: Value, with_credentials: bool) -> Value {
    match to.is_string() && !with_credentials {
        true => stored,
        false => to,
    }
}

/// Headers as they are written: those that are stored keep their values.
fn credentials(to: Value, stored: &Value, with_credentials: bool) -> Value {
    let Value::Object(headers) = to else {
        return to;
    };
    let headers = headers.into_iter().map(|(name, value)| {
        // Names of headers have no case, and are stored as they were given.
        let known = stored.get(&name).cloned();
        match known {
            Some(known) => (name, credential(value, known, with_credentials)),
            None => (name, value),
        }
    });
    Value::Object(headers.collect())
}

/// A value that may be shown.
fn hidden(field: &str, value: Value) -> Value {
    match (field, value) {
        ("secret", Value::String(_)) => "<set>".into(),
        ("headers", Value::Object(headers)) => {
            let names = headers.into_iter().map(|(name, value)| {
                let shown = if value.is_string() {
                    "<set>".into()
                } else {
                    value
                };
                (name, shown)
            });
            Value::Object(names.collect())
        }
        (_, value) => value,
    }
}
