//! The parameters of routes about deliveries.

use serde::Deserialize;
use webhooks_core::WebhookError;

use crate::problem::Problem;

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
            pub(super) fn filter(&mut self) -> crate::ops::DeliveryFilter {
                crate::ops::DeliveryFilter {
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

/// What comes with a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Include {
    Attempts,
}

/// What is wrong with a parameter.
pub(super) fn malformed(error: &WebhookError) -> Problem {
    Problem::malformed(error.to_string())
}
