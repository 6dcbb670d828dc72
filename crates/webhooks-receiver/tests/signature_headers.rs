//! Every row of the signature vectors, through the public API.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use serde_json::Value;
use webhooks_receiver::{SignatureError, WebhookReceiver};

const VECTORS: &str = include_str!("../../../tests/vectors/signature_headers.json");

#[test]
fn every_row_has_its_outcome() {
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    let rows = vectors["cases"].as_array().unwrap();
    assert!(rows.len() > 50, "{} rows", rows.len());
    let wrong: Vec<String> = rows.iter().filter_map(difference).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn difference(row: &Value) -> Option<String> {
    let expected = row["expect"].as_str().unwrap();
    let actual = outcome(row);
    (actual != expected).then(|| format!("{}: {actual}, not {expected}", row["id"]))
}

fn outcome(row: &Value) -> &'static str {
    let Some(headers) = headers(&row["header"]) else {
        // No HTTP library hands such a line over.
        return "malformed_header";
    };
    let receiver = receiver(row);
    let now = row["now"].as_i64().unwrap();
    match receiver.verify_at(&headers, &body(row), now) {
        Ok(()) => "ok",
        Err(error) => error.code(),
    }
}

fn headers(lines: &Value) -> Option<HeaderMap> {
    let lines = match lines {
        Value::Null => Vec::new(),
        Value::Array(lines) => lines.iter().collect(),
        line => vec![line],
    };
    let mut headers = HeaderMap::new();
    for line in lines {
        let value = HeaderValue::from_bytes(line.as_str().unwrap().as_bytes()).ok()?;
        headers.append("X-Webhook-Signature", value);
    }
    Some(headers)
}

fn receiver(row: &Value) -> WebhookReceiver {
    let tolerance = Duration::from_secs(row["tolerance"].as_u64().unwrap());
    let receiver = WebhookReceiver::new(row["secret"].as_str().unwrap()).with_tolerance(tolerance);
    match row.get("secrets") {
        None => receiver,
        Some(secrets) => {
            let secrets = secrets.as_array().unwrap().iter();
            receiver.with_secrets(secrets.map(|secret| secret.as_str().unwrap()))
        }
    }
}

fn body(row: &Value) -> Vec<u8> {
    match row.get("body_repeat") {
        None => row["body"].as_str().unwrap().into(),
        Some(repeat) => {
            let times = usize::try_from(repeat[1].as_u64().unwrap()).unwrap();
            repeat[0].as_str().unwrap().repeat(times).into()
        }
    }
}

fn signed(header: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("X-Webhook-Signature", header.parse().unwrap());
    headers
}

#[test]
fn times_and_tolerances_at_the_ends_of_their_ranges_are_judged() {
    let hex = "00".repeat(32);
    let check = |t: &str, tolerance: Duration, now: i64| {
        let receiver = WebhookReceiver::new("secret").with_tolerance(tolerance);
        let headers = signed(&format!("t={t},v1={hex}"));
        receiver.verify_at(&headers, b"{}", now).unwrap_err()
    };
    let last = "999999999999";
    for (t, tolerance, now, expected) in [
        (
            "0",
            Duration::MAX,
            i64::MAX,
            SignatureError::SignatureMismatch,
        ),
        (last, Duration::MAX, 0, SignatureError::SignatureMismatch),
        (last, Duration::ZERO, 0, SignatureError::TimestampInFuture),
        (
            "0",
            Duration::ZERO,
            i64::MAX,
            SignatureError::TimestampTooOld,
        ),
        (last, Duration::ZERO, -1, SignatureError::ReceiverClock),
        ("0", Duration::MAX, i64::MIN, SignatureError::ReceiverClock),
    ] {
        assert_eq!(check(t, tolerance, now), expected, "{t} at {now}");
    }
}

#[test]
fn only_mismatch_and_time_are_false_and_the_rest_is_an_error() {
    let verified = |tolerance, header: &str| {
        let receiver = WebhookReceiver::new("secret").with_tolerance(tolerance);
        receiver.verify_signature(&signed(header), b"{}")
    };
    let hex = "00".repeat(32);
    let stale = format!("t=1,v1={hex}");
    let ahead = format!("t=999999999999,v1={hex}");
    assert!(!verified(Duration::MAX, &stale).unwrap());
    assert!(!verified(Duration::ZERO, &stale).unwrap());
    assert!(!verified(Duration::ZERO, &ahead).unwrap());
    for bad in ["", "t=1", "t=x,v1=00", "nonsense"] {
        let error = verified(Duration::MAX, bad).unwrap_err();
        assert!(matches!(
            error,
            webhooks_core::WebhookError::InvalidSignature
        ));
    }
    let receiver = WebhookReceiver::new("");
    assert!(receiver.verify_signature(&signed(&stale), b"{}").is_err());
}

#[test]
fn empty_secrets_among_others_verify_nothing() {
    let key = webhooks_core::SigningKey::new(b"");
    let header = webhooks_core::signature_header([&key], 1, b"{}");
    let receiver = WebhookReceiver::new("x").with_secrets(["", "other"]);
    let refused = receiver.verify_at(&signed(&header), b"{}", 1);
    assert_eq!(refused, Err(SignatureError::SignatureMismatch));
    let without = receiver.with_secrets(Vec::<String>::new());
    let refused = without.verify_at(&signed(&header), b"{}", 1);
    assert_eq!(refused, Err(SignatureError::EmptySecret));
}

#[test]
fn neither_debug_nor_an_error_shows_a_secret() {
    let receiver = WebhookReceiver::new("hunter2").with_secrets(["hunter2", "hunter3"]);
    let shown = format!("{receiver:?}");
    assert!(
        shown.contains("secrets: 2") && !shown.contains("hunter"),
        "{shown}"
    );
}
