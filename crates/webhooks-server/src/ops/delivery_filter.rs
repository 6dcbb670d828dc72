//! Which deliveries: the same words wherever deliveries are chosen.

use better_auth_webhooks::storage::DeliveryQuery;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use webhooks_core::{DeadReason, DeliveryState, EventFilter, FailureKind, WebhookError};

use super::time::time;
use crate::problem::Problem;

/// Names in one parameter at most.
const MOST: usize = 200;

/// Which deliveries. What is there several times means any of these; different ones must all match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DeliveryFilter {
    /// These deliveries, at most 200.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) id: Vec<String>,
    /// Deliveries of this event.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) event_id: Option<String>,
    /// Deliveries to these endpoints, at most 200.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) endpoint_id: Vec<String>,
    /// Deliveries of events of this type: exact, `prefix.*` or `*`.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) event_type: Option<String>,
    /// Deliveries of events that were sent for this tenant.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) tenant: Option<String>,
    /// In one of these states.
    #[schema(value_type = Vec<String>)]
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) state: Vec<DeliveryState>,
    /// Dead for one of these reasons.
    #[schema(value_type = Vec<String>)]
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) dead_reason: Vec<DeadReason>,
    /// Whose last attempt failed in one of these ways.
    #[schema(value_type = Vec<String>)]
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) failure: Vec<FailureKind>,
    /// The status of their last response: `503`, `5xx` or `none`.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) status: Option<String>,
    /// Sent at this time or later.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) from: Option<String>,
    /// Sent before this time.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) to: Option<String>,
    /// Changed at this time or later.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) updated_from: Option<String>,
    /// Changed before this time.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) updated_to: Option<String>,
}

/// Whether a field chooses nothing.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl DeliveryFilter {
    /// Whether it chooses everything.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The query that this stands for, of one page that is not decided yet.
    pub(crate) fn query(self) -> Result<DeliveryQuery, Problem> {
        for (name, count) in [
            ("id", self.id.len()),
            ("endpoint_id", self.endpoint_id.len()),
        ] {
            if count > MOST {
                let detail = format!("{name} is there {count} times, at most {MOST}");
                return Err(Problem::malformed(detail));
            }
        }
        let at = |text: Option<String>, field| text.map(|text| time(&text, field)).transpose();
        let ids = self
            .id
            .iter()
            .map(|id| id.parse())
            .collect::<Result<Vec<_>, _>>();
        let ids = ids.map_err(|error| malformed(&error))?;
        let endpoints: Vec<_> = self.endpoint_id.into_iter().map(Into::into).collect();
        let event_id = self.event_id.map(|id| id.parse()).transpose();
        let event_type = self.event_type.as_deref().map(EventFilter::new).transpose();
        let status = self.status.map(|status| status.parse()).transpose();
        Ok(DeliveryQuery {
            ids: (!ids.is_empty()).then_some(ids),
            event_id: event_id.map_err(|error| malformed(&error))?,
            endpoint_ids: (!endpoints.is_empty()).then_some(endpoints),
            event_type: event_type.map_err(|error| malformed(&error))?,
            tenant: self.tenant.map(Into::into),
            states: self.state,
            dead_reasons: self.dead_reason,
            last_failures: self.failure,
            last_status: status.map_err(|error| malformed(&error))?,
            from: at(self.from, "from")?,
            to: at(self.to, "to")?,
            updated_from: at(self.updated_from, "updated_from")?,
            updated_before: at(self.updated_to, "updated_to")?,
            ..DeliveryQuery::default()
        })
    }
}

/// What is wrong with a parameter.
fn malformed(error: &WebhookError) -> Problem {
    Problem::malformed(error.to_string())
}
