//! Which deliveries: the same words wherever deliveries are chosen.

use better_auth_webhooks::storage::DeliveryQuery;
use serde::Deserialize;
use webhooks_core::{DeadReason, DeliveryState, EventFilter, FailureKind, WebhookError};

use super::shapes::time;
use crate::problem::Problem;

/// Names in one parameter at most.
const MOST: usize = 200;

/// The parameters of a route about deliveries: those that choose them, and some of its own.
///
/// A flattened struct would do, but lets parameters through that there are not.
macro_rules! delivery_params {
    ($name:ident { $($(#[$meta:meta])* $field:ident: $type:ty,)* }) => {
        #[derive(Clone, Debug, Default, serde::Deserialize, utoipa::IntoParams)]
        #[serde(deny_unknown_fields, default)]
        #[into_params(parameter_in = Query)]
        pub(super) struct $name {
            /// These deliveries, at most 200.
            id: Vec<String>,
            /// Deliveries of this event.
            event_id: Option<String>,
            /// Deliveries to these endpoints, at most 200.
            endpoint_id: Vec<String>,
            /// Deliveries of events of this type: exact, `prefix.*` or `*`.
            event_type: Option<String>,
            /// Deliveries of events that were sent for this tenant.
            tenant: Option<String>,
            /// `blocked`, `ready`, `scheduled`, `leased`, `delivered`, `dead` or `cancelled`.
            #[param(value_type = Vec<String>)]
            state: Vec<webhooks_core::DeliveryState>,
            /// Why they are dead: `attempts_exhausted`, `permanent_failure`, `poison`,
            /// `backlog_full` or `expired`.
            #[param(value_type = Vec<String>)]
            dead_reason: Vec<webhooks_core::DeadReason>,
            /// Why their last attempt failed: `timeout`, `server_error`, ...
            #[param(value_type = Vec<String>)]
            failure: Vec<webhooks_core::FailureKind>,
            /// The status of their last response: `503`, `5xx` or `none`.
            status: Option<String>,
            /// Sent at this time or later.
            from: Option<String>,
            /// Sent before this time.
            to: Option<String>,
            /// Changed at this time or later.
            updated_from: Option<String>,
            /// Changed before this time.
            updated_to: Option<String>,
            $($(#[$meta])* pub(super) $field: $type,)*
        }

        impl $name {
            /// Which deliveries are chosen.
            pub(super) fn filter(&mut self) -> crate::api::delivery_filter::DeliveryFilter {
                crate::api::delivery_filter::DeliveryFilter {
                    id: std::mem::take(&mut self.id),
                    event_id: self.event_id.take(),
                    endpoint_id: std::mem::take(&mut self.endpoint_id),
                    event_type: self.event_type.take(),
                    tenant: self.tenant.take(),
                    state: std::mem::take(&mut self.state),
                    dead_reason: std::mem::take(&mut self.dead_reason),
                    failure: std::mem::take(&mut self.failure),
                    status: self.status.take(),
                    from: self.from.take(),
                    to: self.to.take(),
                    updated_from: self.updated_from.take(),
                    updated_to: self.updated_to.take(),
                }
            }
        }
    };
}

pub(super) use delivery_params;

/// Which deliveries. What is there several times means any of these; different ones must all match.
#[derive(Clone, Debug, Default)]
pub(super) struct DeliveryFilter {
    pub(super) id: Vec<String>,
    pub(super) event_id: Option<String>,
    pub(super) endpoint_id: Vec<String>,
    pub(super) event_type: Option<String>,
    pub(super) tenant: Option<String>,
    pub(super) state: Vec<DeliveryState>,
    pub(super) dead_reason: Vec<DeadReason>,
    pub(super) failure: Vec<FailureKind>,
    pub(super) status: Option<String>,
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
    pub(super) updated_from: Option<String>,
    pub(super) updated_to: Option<String>,
}

/// What comes with a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Include {
    Attempts,
}

impl DeliveryFilter {
    /// The query that this stands for, of one page that is not decided yet.
    pub(super) fn query(self) -> Result<DeliveryQuery, Problem> {
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
pub(super) fn malformed(error: &WebhookError) -> Problem {
    Problem::malformed(error.to_string())
}
