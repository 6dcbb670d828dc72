//! Which deliveries: the same flags wherever deliveries are chosen.

use clap::Args;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::client::Request;
use crate::duration;
use crate::failure::Failure;
use crate::output::safe;

/// Which deliveries. What is given several times means any of these; different flags must all match.
///
/// It serializes as the filter of a job, without what was not given.
#[derive(Clone, Debug, Args, Serialize)]
pub(crate) struct DeliveryFilterArgs {
    /// These deliveries. Can be given several times.
    #[arg(
        long = "id",
        id = "filter_id",
        value_name = "ID",
        value_delimiter = ','
    )]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    id: Vec<String>,
    /// Deliveries of this event.
    #[arg(long, visible_alias = "event", value_name = "ID")]
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<String>,
    /// Deliveries to this endpoint. Can be given several times.
    #[arg(long, visible_alias = "endpoint", value_name = "ID")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    endpoint_id: Vec<String>,
    /// Deliveries of events of this type, as in `user.created` or `user.*`.
    #[arg(long, visible_alias = "type", value_name = "TYPE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    event_type: Option<String>,
    /// Deliveries of events that were sent for this tenant.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    /// `blocked`, `ready`, `scheduled`, `leased`, `delivered`, `dead` or `cancelled`. Can be given several times.
    #[arg(long, value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    state: Vec<String>,
    /// Given up for this: `attempts_exhausted`, `permanent_failure`, `poison`, `backlog_full` or `expired`. Can
    /// be given several times.
    #[arg(
        long,
        visible_alias = "reason",
        value_name = "REASON",
        value_delimiter = ','
    )]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dead_reason: Vec<String>,
    /// Whose last attempt failed so, as in `timeout` or `server_error`. Can be given several times.
    #[arg(long, value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failure: Vec<String>,
    /// The status of the last response: `503`, `5xx` or `none`.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<String>,
    /// Sent at this time or later: RFC 3339, or so long ago, as in `24h`.
    #[arg(long, visible_alias = "since", value_parser = duration::time, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    /// Sent before this time.
    #[arg(long, value_parser = duration::time, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    /// Changed at this time or later.
    #[arg(long, value_parser = duration::time, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_from: Option<String>,
    /// Changed before this time.
    #[arg(long, value_parser = duration::time, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_to: Option<String>,
}

/// What is said of each field of a filter.
const WORDS: [(&str, &str); 13] = [
    ("id", "with the id"),
    ("event_id", "of the event"),
    ("endpoint_id", "to the endpoint"),
    ("event_type", "of the type"),
    ("tenant", "for the tenant"),
    ("state", "in the state"),
    ("dead_reason", "given up for"),
    ("failure", "whose last attempt failed with"),
    ("status", "with the last status"),
    ("from", "sent at or after"),
    ("to", "sent before"),
    ("updated_from", "changed at or after"),
    ("updated_to", "changed before"),
];

impl DeliveryFilterArgs {
    /// A request with the filter in its parameters.
    pub(super) fn ask(self, request: Request) -> Request {
        request
            .each("id", &self.id)
            .maybe("event_id", self.event_id)
            .each("endpoint_id", &self.endpoint_id)
            .maybe("event_type", self.event_type)
            .maybe("tenant", self.tenant)
            .each("state", &self.state)
            .each("dead_reason", &self.dead_reason)
            .each("failure", &self.failure)
            .maybe("status", self.status)
            .maybe("from", self.from)
            .maybe("to", self.to)
            .maybe("updated_from", self.updated_from)
            .maybe("updated_to", self.updated_to)
    }

    /// The fields that were given, in the names of the API.
    pub(super) fn fields(&self) -> Result<Map<String, Value>, Failure> {
        match serde_json::to_value(self) {
            Ok(Value::Object(fields)) => Ok(fields),
            _ => Err(Failure::usage("the filter cannot be written")),
        }
    }
}

/// A filter in words, safe to show: empty for one that chooses everything.
pub(super) fn words(fields: &Map<String, Value>) -> String {
    let said = WORDS.iter().filter_map(|(name, words)| {
        let value = fields.get(*name)?;
        let values: Vec<_> = match value {
            Value::Array(values) => values.iter().filter_map(Value::as_str).collect(),
            value => value.as_str().into_iter().collect(),
        };
        (!values.is_empty()).then(|| format!("{words} {}", safe(&values.join(" or "))))
    });
    said.collect::<Vec<_>>().join(", ")
}
