//! The log of attempts as Redis keeps it: a line that a person can read, and then the bytes of the
//! response.

use std::fmt::Write;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use webhooks_core::{AttemptRecord, DeliveryId, Result, Timestamp};

use crate::reply::{malformed, named};

/// What stands before the headers of the response, in JSON: the last field of the line, if there are
/// any, for a value may hold anything.
const HEADERS: &str = " headers=";

/// Writes an attempt. `settle.lua` and `sweep.lua` find the status, the failure and the time in the line.
pub(crate) fn write_attempt(to: &mut BytesMut, attempt: &AttemptRecord) {
    let status = attempt.status.map(|status| status.to_string());
    let _never_fails = write!(
        to,
        "{}n={} at={} took={} status={} failure={}",
        if attempt.ambiguous { "ambiguous " } else { "" },
        attempt.number,
        attempt.started_at.as_millis(),
        attempt.duration.as_nanos(),
        status.unwrap_or_default(),
        attempt.failure.map_or("", |failure| failure.as_str()),
    );
    if !attempt.response_headers.is_empty() {
        let headers = serde_json::json!(attempt.response_headers);
        let _never_fails = write!(to, "{HEADERS}{headers}");
    }
    to.put_u8(b'\n');
    to.put_slice(&attempt.response);
}

/// Reads an attempt that [`write_attempt`] wrote.
pub(crate) fn read_attempt(delivery_id: DeliveryId, line: &Bytes) -> Result<AttemptRecord> {
    let broken = || malformed("holds a broken line of the log");
    let end = line.iter().position(|b| *b == b'\n').ok_or_else(broken)?;
    let text = std::str::from_utf8(line.get(..end).unwrap_or_default()).map_err(|_| broken())?;
    let (text, headers) = text.split_once(HEADERS).unwrap_or((text, "[]"));
    let field = |name: &str| {
        let mut fields = text.split(' ');
        fields.find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
    };
    let number = |name: &str| field(name).and_then(|n| n.parse::<i64>().ok());
    let failure = match field("failure").unwrap_or_default() {
        "" => None,
        name => Some(named(name)?),
    };
    let nanos = number("took").and_then(|n| u64::try_from(n).ok());
    let attempt = number("n").and_then(|n| u32::try_from(n).ok());
    let started_at = number("at").map(Timestamp::from_millis);
    let mut record = AttemptRecord::new(
        delivery_id,
        attempt.ok_or_else(broken)?,
        started_at.ok_or_else(broken)?,
    );
    record.duration = Duration::from_nanos(nanos.ok_or_else(broken)?);
    record.status = number("status").and_then(|n| u16::try_from(n).ok());
    record.failure = failure;
    record.response = line.slice(end + 1..);
    record.response_headers = serde_json::from_str(headers).map_err(|_| broken())?;
    record.ambiguous = text.starts_with("ambiguous");
    Ok(record)
}
