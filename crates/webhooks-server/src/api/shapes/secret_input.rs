//! A credential as callers give it: never as they get it.

use std::fmt;

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// A credential, or that the one which is stored stays.
#[derive(Clone)]
pub(in crate::api) enum SecretInput {
    /// This text.
    Text(String),
    /// What is stored.
    Keep,
}

impl<'de> Deserialize<'de> for SecretInput {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a credential is a text, or {\"keep\": true}")]
        enum Either {
            Text(String),
            Keep(Keep),
        }
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Keep {
            keep: bool,
        }
        match Either::deserialize(from)? {
            Either::Text(text) => Ok(Self::Text(text)),
            Either::Keep(Keep { keep: true }) => Ok(Self::Keep),
            Either::Keep(_) => Err(D::Error::custom("keep can only be true")),
        }
    }
}

impl fmt::Debug for SecretInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text(_) => "Text(..)",
            Self::Keep => "Keep",
        })
    }
}

impl PartialSchema for SecretInput {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new().schema_type(Type::String);
        let always = ObjectBuilder::new()
            .schema_type(Type::Boolean)
            .enum_values(Some([true]));
        let keep = ObjectBuilder::new()
            .property("keep", always)
            .required("keep")
            .additional_properties(Some(AdditionalProperties::FreeForm(false)));
        OneOfBuilder::new().item(text).item(keep).into()
    }
}

impl ToSchema for SecretInput {}
