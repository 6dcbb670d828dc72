//! An endpoint as callers see it.

use better_auth_webhooks::storage::{Counts, DisabledBy, EndpointRecord};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use webhooks_core::Timestamp;

use super::endpoint_definition::{Batch, RateLimit, shown};
use super::numbers::CountsView;
use crate::access::Caller;
use crate::ops::{EndpointHealth, GateState};

/// Characters of a generated secret that are shown, so that people tell two apart.
const HINT: usize = 4;
/// What secrets begin with that were generated.
const GENERATED: [&str; 2] = ["whsec_", "whsk_"];

/// An endpoint: its definition, without its credentials, and how it is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Endpoint)]
pub(in crate::api) struct EndpointView {
    /// Its definition, as it can be put again.
    #[serde(flatten)]
    #[schema(inline)]
    definition: Definition,
    /// What is shown of its secrets.
    secret_info: SecretInfo,
    /// Keys that verify what it gets, if it is signed by key pairs.
    public_keys: Vec<String>,
    /// The number of the last change of its definition; in quotes it is the `ETag`.
    revision: u64,
    /// When it was first saved under this id.
    created_at: String,
    /// When its definition was last saved.
    updated_at: String,
    /// What lets its deliveries through.
    gate: Gate,
    /// How it is, if `include=health` asked for that; of one endpoint always.
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<EndpointHealth>,
    /// How many of its deliveries are in each state, if `include=counts` asked for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    counts: Option<CountsView>,
}

/// A definition as it is shown.
#[derive(Debug, Serialize)]
struct Definition(Value);

/// What is shown of its secrets.
#[derive(Debug, Serialize, ToSchema)]
struct SecretInfo {
    /// `whsec` and `whsk` were generated, `text` is any other.
    kind: &'static str,
    /// The end of one that was generated.
    hint: Option<String>,
    /// Secrets of before, which still sign.
    previous: Vec<PreviousView>,
}

/// A secret of before a rotation.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct PreviousView {
    /// Until when it signs.
    pub(in crate::api) expires_at: String,
}

/// What lets its deliveries through.
#[derive(Debug, Serialize, ToSchema)]
struct Gate {
    /// Whether they go, and if not, why.
    state: GateState,
    /// Who disabled it, if that was not in the definition: `operator`, `gone` or `failing`.
    #[schema(value_type = Option<String>)]
    disabled_by: Option<DisabledBy>,
    /// Until when nothing goes.
    held_until: Option<String>,
    /// Deliveries that are on their way at a time, at most.
    max_leased: Option<u32>,
    /// Since when every attempt has failed.
    failing_since: Option<String>,
}

/// The fields of [`Definition`], for the document.
#[derive(Debug, ToSchema)]
#[schema(as = ShownDefinition)]
#[expect(dead_code, reason = "it only describes")]
struct ShownDefinition {
    id: String,
    url: String,
    /// `{"keep": true}`; the secret itself in the answer to what made it.
    #[schema(value_type = Value)]
    secret: Value,
    events: Vec<String>,
    #[schema(value_type = Option<Object>)]
    filter: Option<Value>,
    enabled: bool,
    tenant: Option<String>,
    description: String,
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    metadata: Value,
    #[schema(value_type = Object)]
    headers: Value,
    content_type: Option<String>,
    user_agent: Option<String>,
    accepted_statuses: Vec<u16>,
    timeout_seconds: u64,
    rate_limit: Option<RateLimit>,
    batch: Option<Batch>,
    signature: String,
    ordering: String,
    on_dead: String,
}

impl utoipa::PartialSchema for Definition {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        ShownDefinition::schema()
    }
}

impl ToSchema for Definition {}

impl EndpointView {
    /// What this caller sees of an endpoint at this time.
    pub(in crate::api) fn new(caller: &Caller, record: &EndpointRecord, now: Timestamp) -> Self {
        let endpoint = &record.endpoint;
        let mut definition = shown(endpoint);
        if !caller.sees_credentials()
            && let Some((place, _)) = endpoint.url.split_once('?')
        {
            // Keys of receivers often stand there.
            set(&mut definition, "url", format!("{place}?…"));
        }
        let previous = endpoint.previous_secrets.iter();
        let previous = previous
            .filter(|of| of.expires_at > now)
            .map(|of| PreviousView {
                expires_at: of.expires_at.to_string(),
            });
        let kind = GENERATED
            .iter()
            .find(|kind| endpoint.secret.starts_with(**kind));
        let hint = kind.map(|_| {
            let end = endpoint.secret.chars().rev().take(HINT);
            format!(
                "…{}",
                end.collect::<Vec<_>>().iter().rev().collect::<String>()
            )
        });
        Self {
            definition: Definition(definition),
            secret_info: SecretInfo {
                kind: kind.map_or("text", |kind| kind.trim_end_matches('_')),
                hint,
                previous: previous.collect(),
            },
            public_keys: public_keys(endpoint, now),
            revision: record.definition_revision,
            created_at: record.created_at.to_string(),
            updated_at: record.updated_at.to_string(),
            gate: Gate::new(record, now),
            health: None,
            counts: None,
        }
    }

    pub(in crate::api) fn with_health(mut self, health: Option<EndpointHealth>) -> Self {
        self.health = health;
        self
    }

    pub(in crate::api) fn with_counts(mut self, counts: Option<Counts>) -> Self {
        self.counts = counts.map(CountsView::from);
        self
    }

    /// Shows the secret that was made for it, in this answer alone.
    pub(in crate::api) fn with_secret(mut self, secret: Option<&str>) -> Self {
        if let Some(secret) = secret {
            set(&mut self.definition.0, "secret", secret.to_owned());
        }
        self
    }
}

/// Sets a field of a shown definition.
fn set(definition: &mut Value, field: &str, to: String) {
    if let Some(fields) = definition.as_object_mut() {
        fields.insert(field.to_owned(), to.into());
    }
}

impl Gate {
    fn new(record: &EndpointRecord, now: Timestamp) -> Self {
        let gate = &record.gate;
        let is_unverified = gate.disabled == Some(DisabledBy::Unverified);
        let held_until = gate.held_until.filter(|until| *until > now);
        Self {
            state: GateState::of(record, now),
            disabled_by: gate.disabled.filter(|_| !is_unverified),
            held_until: held_until.map(|at| at.to_string()),
            max_leased: gate.max_leased,
            failing_since: gate.failing_since.map(|at| at.to_string()),
        }
    }
}

#[cfg(feature = "ed25519")]
fn public_keys(endpoint: &webhooks_core::WebhookEndpoint, now: Timestamp) -> Vec<String> {
    let keys = endpoint.public_keys(now).into_iter();
    keys.map(|key| key.to_string()).collect()
}

#[cfg(not(feature = "ed25519"))]
const fn public_keys(_: &webhooks_core::WebhookEndpoint, _: Timestamp) -> Vec<String> {
    Vec::new()
}
