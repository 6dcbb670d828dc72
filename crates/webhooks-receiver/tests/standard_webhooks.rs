//! Standard Webhooks headers, and what happens beside the timestamped one.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use http::HeaderMap;
use serde_json::Value;
use webhooks_core::{SigningKey, StandardKey, signature_header};
use webhooks_receiver::WebhookReceiver;

const VECTORS: &str = include_str!("../../../tests/vectors/standard_webhooks.json");
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NOW: i64 = 1_750_000_000;
const BODY: &[u8] = b"{}";

fn headers<'a>(lines: impl IntoIterator<Item = (&'static str, &'a str)>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(name, value.parse().unwrap());
    }
    headers
}

fn standard(id: &str, timestamp: &str, signature: &str) -> HeaderMap {
    headers([
        ("webhook-id", id),
        ("webhook-timestamp", timestamp),
        ("webhook-signature", signature),
    ])
}

fn code(receiver: &WebhookReceiver, headers: &HeaderMap) -> &'static str {
    match receiver.verify_at(headers, BODY, NOW) {
        Ok(()) => "ok",
        Err(error) => error.code(),
    }
}

fn sign(id: &str) -> String {
    StandardKey::new(SECRET).unwrap().sign(id, NOW, BODY)
}

#[test]
fn every_published_example_verifies_and_no_changed_one_does() {
    let rows: Vec<Value> = serde_json::from_str(VECTORS).unwrap();
    for row in &rows {
        let text = |name: &str| row[name].as_str().unwrap_or_default();
        let at = row["timestamp"].as_i64().unwrap();
        let headers = match text("scheme") {
            "stripe" => headers([("x-webhook-signature", text("header"))]),
            _ => standard(text("id"), &at.to_string(), text("signature")),
        };
        let body = text("body").as_bytes();
        let receiver = WebhookReceiver::new(text("secret"));
        assert_eq!(
            receiver.verify_at(&headers, body, at + 300),
            Ok(()),
            "{row}"
        );
        assert!(receiver.verify_at(&headers, body, at + 301).is_err());
        assert!(
            receiver
                .verify_at(&headers, &[body, b" "].concat(), at)
                .is_err()
        );
        let other = WebhookReceiver::new("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
        assert!(other.verify_at(&headers, body, at).is_err());
    }
}

#[test]
fn every_secret_meets_every_signature() {
    let old = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let receiver = WebhookReceiver::new("x").with_secrets([old, "plain", SECRET]);
    let good = sign("msg_1");
    let other = StandardKey::new(old).unwrap().sign("msg_2", NOW, BODY);
    let list = format!("v1a,AAAA {other} v1,short {good}");
    let headers = standard("msg_1", &NOW.to_string(), &list);
    assert_eq!(code(&receiver, &headers), "ok");
}

#[test]
fn each_fault_has_its_code() {
    let receiver = WebhookReceiver::new(SECRET);
    let good = sign("msg_1");
    let now = NOW.to_string();
    let nine = [good.as_str(); 9].join(" ");
    let many = format!("{good}{}", " v2,x".repeat(32));
    let (id_256, id_257) = ("i".repeat(256), "i".repeat(257));
    let of_256 = sign(&id_256);
    for (id, time, signature, expected) in [
        ("msg_1", now.as_str(), good.as_str(), "ok"),
        (&id_256, &now, &of_256, "ok"),
        (&id_257, &now, &good, "header_too_long"),
        ("msg 1", &now, &good, "malformed_header"),
        ("", &now, &good, "missing_header"),
        ("msg_1", " ", &good, "missing_header"),
        ("msg_1", "01750000000", &good, "bad_timestamp"),
        ("msg_1", "1750000000.0", &good, "bad_timestamp"),
        ("msg_1", "1749999699", &good, "timestamp_too_old"),
        ("msg_1", "1750000301", &good, "timestamp_in_future"),
        ("msg_1", "1750000001", &good, "signature_mismatch"),
        ("msg_2", &now, &good, "signature_mismatch"),
        ("msg_1", &now, "", "missing_header"),
        ("msg_1", &now, "v1", "malformed_header"),
        ("msg_1", &now, ",x", "malformed_header"),
        ("msg_1", &now, "v1,a  v1,b", "malformed_header"),
        ("msg_1", &now, &many, "malformed_header"),
        ("msg_1", &now, "v1,AAAA", "no_usable_signature"),
        ("msg_1", &now, "v1a,AAAA", "no_usable_signature"),
        ("msg_1", &now, &nine, "too_many_signatures"),
        ("msg_1", &now, &"v".repeat(4_097), "header_too_long"),
    ] {
        let headers = standard(id, time, signature);
        assert_eq!(
            code(&receiver, &headers),
            expected,
            "{id} {time} {signature}"
        );
    }
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        let mut twice = standard("msg_1", &now, &good);
        twice.append(name, "x".parse().unwrap());
        assert_eq!(code(&receiver, &twice), "duplicate_header");
        let mut without = standard("msg_1", &now, &good);
        without.remove(name);
        assert_eq!(code(&receiver, &without), "missing_header");
    }
}

#[test]
fn the_timestamped_header_decides_alone_when_it_is_there() {
    let receiver = WebhookReceiver::new(SECRET).with_tolerance(Duration::ZERO);
    let mut both = standard("msg_1", &NOW.to_string(), &sign("msg_1"));
    assert_eq!(code(&receiver, &both), "ok");
    both.insert("x-webhook-signature", "".parse().unwrap());
    assert_eq!(code(&receiver, &both), "missing_header");
    let other = signature_header([&SigningKey::new(b"other")], NOW, BODY);
    both.insert("x-webhook-signature", other.parse().unwrap());
    assert_eq!(code(&receiver, &both), "signature_mismatch");
    let own = signature_header([&SigningKey::new(SECRET.as_bytes())], NOW, BODY);
    both.insert("x-webhook-signature", own.parse().unwrap());
    both.insert("webhook-signature", "v1,garbage".parse().unwrap());
    assert_eq!(code(&receiver, &both), "ok");
}

#[test]
fn a_secret_that_is_no_standard_key_takes_no_standard_headers() {
    let headers = standard("msg_1", &NOW.to_string(), &sign("msg_1"));
    let bare = SECRET.trim_start_matches("whsec_");
    for secret in ["plain", bare, "whsec_", "whsec_!!"] {
        let receiver = WebhookReceiver::new(secret);
        assert_eq!(code(&receiver, &headers), "missing_header");
    }
}
