//! What the data of events must be like: JSON Schema, with the feature `schemas`.
//!
//! A schema is written by whoever may change the catalogue, and runs for each event that is sent. It is
//! therefore treated as a program of a stranger:
//!
//! - Nothing is fetched. A `$ref` to another document is an error of the schema: it would let a schema
//!   reach into the network of the server.
//! - Patterns are compiled by `regex`, whose time is linear in the text. Patterns with look-around or
//!   back-references are refused, as only an engine that backtracks could run them, and a short text
//!   could then hold the process for minutes. The compiled form of a pattern has 1 MiB at most.
//! - At most 8 violations are told, so that the answer stays short whatever the data.
//!
//! What is told of a violation is masked: the place and the rule, never the value. The text goes into
//! answers and logs, where data of events must not be.

use serde_json::Value;

/// A JSON Schema, ready to be used.
#[derive(Debug)]
pub(crate) struct Schema {
    #[cfg(feature = "schemas")]
    validator: jsonschema::Validator,
}

/// Whether this build looks at schemas at all.
pub(super) const ARE_CHECKED: bool = cfg!(feature = "schemas");

/// What is wrong with one place of a value. It holds nothing of the value, which may be personal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    /// The place, as a JSON pointer.
    pub(crate) pointer: String,
    /// What the schema asks for there.
    pub(crate) detail: String,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.pointer.is_empty() {
            true => f.write_str(&self.detail),
            false => write!(f, "{}: {}", self.pointer, self.detail),
        }
    }
}

#[cfg(feature = "schemas")]
impl Schema {
    /// Violations that are told of one value at most.
    const MOST_TOLD: usize = 8;
    /// The largest program that the patterns of one schema are made into, in bytes.
    const MAX_PATTERN: usize = 1 << 20;

    /// Reads a schema: draft 2020-12, or what its `$schema` says. Nothing is fetched, and patterns
    /// are matched in linear time.
    ///
    /// # Errors
    ///
    /// What is wrong with the schema.
    pub(crate) fn new(schema: &Value) -> Result<Self, String> {
        if !(schema.is_object() || schema.is_boolean()) {
            return Err("schema needs an object or a boolean".to_owned());
        }
        let patterns = jsonschema::PatternOptions::regex().size_limit(Self::MAX_PATTERN);
        let options = jsonschema::options()
            .with_pattern_options(patterns)
            .offline();
        match options.build(schema) {
            Ok(validator) => Ok(Self { validator }),
            Err(error) => Err(format!(
                "schema is no JSON Schema: {error} at {:?}",
                error.instance_path().as_str()
            )),
        }
    }

    /// What of a value does not follow the schema, the first 8 places.
    pub(crate) fn broken(&self, value: &Value) -> Vec<Broken> {
        let errors = self.validator.iter_errors(value).take(Self::MOST_TOLD);
        let broken = errors.map(|error| Broken {
            pointer: error.instance_path().as_str().to_owned(),
            detail: error.masked().to_string(),
        });
        broken.collect()
    }
}

#[cfg(not(feature = "schemas"))]
impl Schema {
    /// Keeps a schema as a text for people alone.
    ///
    /// # Errors
    ///
    /// What is neither an object nor a boolean.
    pub(crate) fn new(schema: &Value) -> Result<Self, String> {
        match schema.is_object() || schema.is_boolean() {
            true => Ok(Self {}),
            false => Err("schema needs an object or a boolean".to_owned()),
        }
    }

    /// Nothing: this build looks at no schema.
    pub(crate) fn broken(&self, _: &Value) -> Vec<Broken> {
        Vec::new()
    }
}
