//! What is shown of endpoints.

use serde_json::Value;

use crate::output::Column;

/// What is listed of each.
pub(super) const COLUMNS: &[Column] = &[
    Column::new("ID", "/id"),
    Column::state("STATE", "/gate/state"),
    Column::new("TENANT", "/tenant"),
    Column::new("EVENTS", "/events"),
    Column::new("URL", "/url"),
];

/// What is shown of one.
pub(super) const FIELDS: &[Column] = &[
    Column::new("ID", "/id"),
    Column::new("URL", "/url"),
    Column::new("EVENTS", "/events"),
    Column::state("STATE", "/gate/state"),
    Column::new("DISABLED BY", "/gate/disabled_by"),
    Column::new("HELD UNTIL", "/gate/held_until"),
    Column::new("FAILING SINCE", "/gate/failing_since"),
    Column::new("TENANT", "/tenant"),
    Column::new("DESCRIPTION", "/description"),
    Column::new("METADATA", "/metadata"),
    Column::new("FILTER", "/filter"),
    Column::new("HEADERS", "/headers").with(names),
    Column::new("TIMEOUT SECONDS", "/timeout_seconds"),
    Column::new("RATE LIMIT", "/rate_limit"),
    Column::new("BATCH", "/batch"),
    Column::new("SIGNATURE", "/signature"),
    Column::new("ORDERING", "/ordering"),
    Column::new("ON DEAD", "/on_dead"),
    Column::new("SECRET", "/secret").with(shown_secret),
    Column::new("SECRET HINT", "/secret_info/hint"),
    Column::new("PUBLIC KEYS", "/public_keys"),
    Column::new("REVISION", "/revision"),
    Column::new("CREATED AT", "/created_at"),
    Column::new("UPDATED AT", "/updated_at"),
];

/// A secret, in the answer to what has made it; elsewhere it is not shown.
fn shown_secret(secret: &Value) -> String {
    secret.as_str().unwrap_or_default().to_owned()
}

/// The names of headers; their values are credentials, and not shown.
fn names(headers: &Value) -> String {
    let headers = headers.as_object();
    let names = headers.map(|headers| headers.keys().cloned().collect::<Vec<_>>());
    names.unwrap_or_default().join(",")
}
