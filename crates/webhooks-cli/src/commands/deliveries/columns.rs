//! What is shown of deliveries.

use serde_json::Value;

use crate::output::Column;

/// What is listed of each.
pub(crate) const COLUMNS: &[Column] = &[
    Column::new("ID", "/id"),
    Column::state("STATE", "/state"),
    Column::new("ENDPOINT", "/endpoint_id"),
    Column::new("TYPE", "/event_type"),
    Column::new("ATTEMPTS", "/attempt_count"),
    Column::new("STATUS", "/last/status"),
    Column::new("FAILURE", "/last/failure"),
    Column::new("UPDATED AT", "/updated_at"),
];

/// What is shown of one.
pub(crate) const FIELDS: &[Column] = &[
    Column::new("ID", "/id"),
    Column::state("STATE", "/state"),
    Column::new("DEAD REASON", "/dead_reason"),
    Column::new("CANCEL REASON", "/cancel_reason"),
    Column::new("EVENT", "/event_id"),
    Column::new("TYPE", "/event_type"),
    Column::new("ENDPOINT", "/endpoint_id"),
    Column::new("TENANT", "/tenant"),
    Column::new("PRIORITY", "/priority"),
    Column::new("ATTEMPTS", "/attempt_count"),
    Column::new("MAX RETRIES", "/max_retries"),
    Column::new("STATUS", "/last/status"),
    Column::new("FAILURE", "/last/failure"),
    Column::new("LOG", "/attempts").with(log),
    Column::new("WORKER", "/worker"),
    Column::new("DUE AT", "/due_at"),
    Column::new("CREATED AT", "/created_at"),
    Column::new("UPDATED AT", "/updated_at"),
    Column::new("PAYLOAD ERASED", "/payload_erased"),
];

/// Attempts, oldest first: the number, how it came out, and how long it took.
fn log(attempts: &Value) -> String {
    let attempts = attempts.as_array().map(Vec::as_slice).unwrap_or_default();
    let told = attempts.iter().map(|attempt| {
        let of = |name: &str| attempt.get(name).unwrap_or(&Value::Null);
        let mut text = format!("#{}", of("number"));
        if let Some(status) = of("status").as_u64() {
            text.push_str(&format!(" {status}"));
        }
        if let Some(failure) = of("failure").as_str() {
            text.push_str(&format!(" {failure}"));
        }
        text.push_str(&format!(" {} ms", of("duration_ms")));
        text
    });
    told.collect::<Vec<_>>().join(", ")
}
