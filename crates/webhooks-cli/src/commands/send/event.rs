//! An event that is to be sent.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// An event as the API takes it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Event {
    /// Its type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) r#type: Option<String>,
    /// What it tells, byte by byte.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) data: Option<Box<RawValue>>,
    /// For whom it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tenant: Option<String>,
    /// The endpoint to which alone it goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) endpoint_id: Option<String>,
    /// `low`, `normal`, `high` or `critical`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) priority: Option<String>,
    /// After how long it goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) delay_seconds: Option<u64>,
    /// Retries after the first attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_retries: Option<u32>,
    /// Events with the same key arrive in order, where an endpoint orders by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ordering_key: Option<String>,
    /// The same event is stored once. In a batch alone: one event has a header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) idempotency_key: Option<String>,
}

impl Event {
    /// The same with what `other` says where this says nothing.
    pub(super) fn or(self, other: &Self) -> Self {
        let text = |own: Option<String>, other: &Option<String>| own.or_else(|| other.clone());
        Self {
            r#type: text(self.r#type, &other.r#type),
            data: self.data,
            tenant: text(self.tenant, &other.tenant),
            endpoint_id: text(self.endpoint_id, &other.endpoint_id),
            priority: text(self.priority, &other.priority),
            delay_seconds: self.delay_seconds.or(other.delay_seconds),
            ..self
        }
    }
}
