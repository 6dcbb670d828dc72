//! An endpoint as callers define it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use webhooks_core::{
    BatchConfig, ContentFilter, KeptEndpoint, OnDead, OrderBy, RateLimitConfig, SignatureScheme,
    WebhookEndpoint,
};

use super::secret_input::SecretInput;
use crate::api::body;
use crate::problem::Problem;

/// Fields that are shown of an endpoint, taken in a definition and passed over, so that what was got
/// can be put.
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

/// An endpoint as callers define it. What is left out has its default.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = EndpointDefinition)]
pub(in crate::api) struct EndpointDefinition {
    /// Identifies the endpoint: 1 to 256 bytes without spaces and control characters. One that is
    /// left out is made here.
    #[schema(max_length = 256)]
    pub(in crate::api) id: Option<String>,
    /// Where requests go; at most 2,048 bytes.
    #[schema(max_length = 2048, example = "https://api.example.com/webhooks")]
    url: String,
    /// What signs requests; 1 to 1,024 bytes. One that is left out is made here and shown once.
    secret: Option<SecretInput>,
    /// Event types that it takes: exact, `prefix.*` or `*`; 1 to 256 of them.
    #[schema(example = json!(["user.*"]))]
    events: Vec<String>,
    /// What the content of an event must be for it to be sent here, as an expression: see
    /// docs/content-filters.md. Null for any.
    #[schema(value_type = Option<Object>, example = json!({ "data": { "total": { "$gte": 100 } } }))]
    filter: Option<Value>,
    /// Whether it takes events.
    #[serde(default = "enabled")]
    enabled: bool,
    /// Whose endpoint this is: it takes events that are sent for this tenant alone.
    tenant: Option<String>,
    /// What people call it, at most 1,024 bytes.
    #[serde(default)]
    description: String,
    /// What a service keeps with it, at most 32 entries.
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    /// Further headers of its requests. Their values are credentials: they are never shown.
    #[serde(default)]
    headers: BTreeMap<String, SecretInput>,
    /// The `Content-Type` of its requests; null for `application/json`.
    content_type: Option<String>,
    /// The `User-Agent` of its requests; null for the system's.
    user_agent: Option<String>,
    /// Statuses of 300 to 599 that count as accepted besides every 2xx, at most 32.
    #[serde(default)]
    accepted_statuses: Vec<u16>,
    /// The deadline of one attempt in seconds, at most 3,600; 0 for the system's.
    #[serde(default)]
    #[schema(maximum = 3600)]
    timeout_seconds: u64,
    /// Its own rate limit; null for the system's.
    rate_limit: Option<RateLimit>,
    /// Sends several events in one request, when set.
    batch: Option<Batch>,
    /// How requests are signed.
    #[serde(default)]
    #[schema(value_type = String, example = "standard")]
    signature: SignatureScheme,
    /// Which of its deliveries go one after another: `none`, `key` or `all`.
    #[serde(default)]
    #[schema(value_type = String, example = "none")]
    ordering: OrderBy,
    /// What becomes of those behind one that is given up: `continue` or `hold`.
    #[serde(default)]
    #[schema(value_type = String, example = "continue")]
    on_dead: OnDead,
}

/// A token bucket.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct RateLimit {
    /// Requests a second, 1 to 1,000,000.
    requests_per_second: u32,
    /// Requests at once, 1 to 1,000,000.
    burst_size: u32,
}

/// When the events that wait for an endpoint go out together.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Batch {
    /// Events of one request at most, 1 to 1,000.
    max_events: u32,
    /// How long the first event waits for others, in milliseconds, at most 60,000.
    max_wait_ms: u64,
    /// Bytes of one request's events at most, 1 to 16 MiB.
    max_bytes: usize,
}

const fn enabled() -> bool {
    true
}

impl EndpointDefinition {
    /// Reads a definition, without what is only shown.
    pub(in crate::api) fn read(mut value: Value) -> Result<Self, Problem> {
        if let Some(fields) = value.as_object_mut() {
            for name in READ_ONLY {
                fields.remove(name);
            }
        }
        body::from_value(value)
    }

    /// What is stored of an endpoint with a merge patch (RFC 7396) over it, and the names of what
    /// the patch is about.
    pub(in crate::api) fn patched(
        stored: &WebhookEndpoint,
        patch: Value,
    ) -> Result<(Self, Vec<String>), Problem> {
        let names = patch
            .as_object()
            .map(|fields| fields.keys().cloned().collect());
        let mut value = shown(stored);
        merge(&mut value, patch);
        Ok((Self::read(value)?, names.unwrap_or_default()))
    }

    /// Whether a secret is to be made here.
    pub(in crate::api) const fn has_secret(&self) -> bool {
        self.secret.is_some()
    }

    /// The endpoint that this defines, with credentials that are kept from what is stored.
    pub(in crate::api) fn into_endpoint(
        self,
        id: &str,
        generated: Option<&str>,
        stored: Option<&KeptEndpoint>,
    ) -> Result<WebhookEndpoint, Problem> {
        let secret = match (self.secret, generated) {
            (Some(SecretInput::Text(text)), _) => text,
            (None, Some(generated)) => generated.to_owned(),
            (Some(SecretInput::Keep) | None, _) => {
                let stored = stored.map(|stored| stored.secret.clone());
                stored.ok_or_else(|| nothing_kept("/secret"))?
            }
        };
        let headers = self.headers.into_iter().map(|(name, value)| {
            let kept = || stored.and_then(|stored| stored.headers.get(&name).cloned());
            let value = match value {
                SecretInput::Text(text) => text,
                SecretInput::Keep => {
                    kept().ok_or_else(|| nothing_kept(&format!("/headers/{name}")))?
                }
            };
            Ok((name, value))
        });
        let filter = self.filter.map(|filter| {
            ContentFilter::new(filter).map_err(|error| Problem::from(error).at("/filter"))
        });
        Ok(WebhookEndpoint {
            id: id.to_owned(),
            url: self.url,
            secret,
            events: self.events,
            filter: filter.transpose()?,
            enabled: self.enabled,
            rate_limit: self.rate_limit.map(|limit| RateLimitConfig {
                requests_per_second: limit.requests_per_second,
                burst_size: limit.burst_size,
            }),
            headers: headers.collect::<Result<_, Problem>>()?,
            content_type: self.content_type,
            user_agent: self.user_agent,
            accepted_statuses: self.accepted_statuses,
            timeout_seconds: self.timeout_seconds,
            tenant: self.tenant,
            batch: self.batch.map(|batch| BatchConfig {
                max_events: batch.max_events,
                max_wait_ms: batch.max_wait_ms,
                max_bytes: batch.max_bytes,
            }),
            signature: self.signature,
            previous_secrets: stored
                .map(|of| of.previous_secrets.clone())
                .unwrap_or_default(),
            ordering: self.ordering,
            on_dead: self.on_dead,
            description: self.description,
            metadata: self.metadata,
        })
    }
}

/// A definition as it is shown: credentials say that they are kept.
pub(in crate::api) fn shown(endpoint: &WebhookEndpoint) -> Value {
    let keep = || json!({ "keep": true });
    let headers: BTreeMap<_, _> = endpoint.headers.keys().map(|name| (name, keep())).collect();
    json!({
        "id": endpoint.id,
        "url": endpoint.url,
        "secret": keep(),
        "events": endpoint.events,
        "filter": endpoint.filter,
        "enabled": endpoint.enabled,
        "tenant": endpoint.tenant,
        "description": endpoint.description,
        "metadata": endpoint.metadata,
        "headers": headers,
        "content_type": endpoint.content_type,
        "user_agent": endpoint.user_agent,
        "accepted_statuses": endpoint.accepted_statuses,
        "timeout_seconds": endpoint.timeout_seconds,
        "rate_limit": endpoint.rate_limit,
        "batch": endpoint.batch,
        "signature": endpoint.signature,
        "ordering": endpoint.ordering,
        "on_dead": endpoint.on_dead,
    })
}

fn nothing_kept(pointer: &str) -> Problem {
    let detail = "there is nothing stored to keep";
    Problem::invalid("invalid-endpoint", detail).at(pointer)
}

/// RFC 7396, section 2.
fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let Some(fields) = target.as_object_mut() else {
        return;
    };
    for (name, value) in patch {
        match value {
            Value::Null => {
                fields.remove(&name);
            }
            value => merge(fields.entry(name).or_insert(Value::Null), value),
        }
    }
}
