//! Bodies: single events, batches, and what is neither.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::error::Error;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::json;
use serde_json::value::RawValue;
use webhooks_core::{
    EventId, EventType, SigningKey, Timestamp, WebhookError, batch_envelope, envelope,
    signature_header,
};
use webhooks_receiver::{IncomingWebhook, ReceiveError, SignatureError, WebhookReceiver};

const AT: Timestamp = Timestamp::from_millis(1_704_110_400_123);

fn event(event_type: &str, n: u32) -> Bytes {
    let event_type = EventType::new(event_type).unwrap();
    envelope(
        EventId::new(AT),
        &event_type,
        AT,
        &json!({ "n": n }),
        10_000,
    )
    .unwrap()
}

fn batch(events: &[Bytes]) -> Bytes {
    batch_envelope(EventId::new(AT), AT, events)
}

fn signed(body: &[u8]) -> HeaderMap {
    let header = signature_header([&SigningKey::new(b"secret")], AT.as_secs(), body);
    let mut headers = HeaderMap::new();
    headers.insert("x-webhook-signature", header.parse().unwrap());
    headers
}

fn receiver() -> WebhookReceiver {
    WebhookReceiver::new("secret").with_tolerance(Duration::MAX)
}

fn numbers(events: impl Iterator<Item = IncomingWebhook>) -> Vec<i64> {
    events.map(|e| e.data["n"].as_i64().unwrap()).collect()
}

#[test]
fn a_sent_event_is_received() {
    let body = event("user.created", 7);
    let webhook = receiver().receive(&signed(&body), &body).unwrap();
    assert!(webhook.id.parse::<EventId>().is_ok());
    assert_eq!(webhook.event, "user.created");
    assert_eq!(webhook.timestamp, "2024-01-01T12:00:00.123Z");
    assert_eq!(webhook.version, "1.0");
    assert_eq!(webhook.data, json!({ "n": 7 }));
    let sent = UNIX_EPOCH + Duration::from_millis(1_704_110_400_123);
    assert_eq!(webhook.sent_at().unwrap(), sent);
    assert!(!webhook.is_batch());
    assert_eq!(numbers(webhook.events()), [7]);
    assert_eq!(webhook.events().next().as_ref(), Some(&webhook));
    assert_eq!(numbers(webhook.into_events()), [7]);
}

#[test]
fn a_batch_gives_its_events_with_their_own_ids() {
    let events = [event("user.created", 1), event("user.deleted", 2)];
    let body = batch(&events);
    let webhook = receiver().receive(&signed(&body), &body).unwrap();
    assert!(webhook.is_batch());
    let singles: Vec<_> = events
        .iter()
        .map(|event| receiver().parse_webhook(event).unwrap())
        .collect();
    assert_eq!(webhook.events().collect::<Vec<_>>(), singles);
    assert!(singles.iter().all(|single| single.id != webhook.id));
    assert_eq!(webhook.into_events().collect::<Vec<_>>(), singles);
    let empty = receiver().parse_webhook(&batch(&[])).unwrap();
    assert_eq!(empty.events().count(), 0);
    assert_eq!(empty.into_events().count(), 0);
}

#[test]
fn unknown_fields_are_ignored_and_escapes_are_read() {
    let body = br#"{"id":"a\u0062","event":"webhook.batch","timestamp":"","version":"2","x":1,
        "data":{"y":2,"events":[{"id":"\u0063","event":"\u0064","timestamp":"t","version":"1",
        "data":null,"z":{}}]}}"#;
    let webhook = receiver().parse_webhook(body).unwrap();
    assert_eq!(webhook.id, "ab");
    let inner = webhook.events().next().unwrap();
    assert_eq!((inner.id.as_str(), inner.event.as_str()), ("c", "d"));
    assert!(webhook.sent_at().is_err());
}

#[test]
fn what_is_no_webhook_is_refused_without_showing_it() {
    let single = |id: &str| {
        format!(r#"{{"id":{id},"event":"e","timestamp":"t","data":"hunter2","version":"1"}}"#)
    };
    let batch = |data: &str| {
        format!(
            r#"{{"id":"i","event":"webhook.batch","timestamp":"t","data":{data},"version":"1"}}"#
        )
    };
    let good = single("\"i\"");
    assert!(receiver().parse_webhook(good.as_bytes()).is_ok());
    let of = |event: &str| batch(&format!(r#"{{"events":[{good},{event}]}}"#));
    assert!(receiver().parse_webhook(of(&good).as_bytes()).is_ok());
    let deep = single("\"i\"").replace("\"hunter2\"", &"[".repeat(100_000));
    for bad in [
        "",
        "[]",
        "hunter2",
        &single("1"),
        &single("null"),
        &single("\"\""),
        &single(&format!("\"{}\"", "i".repeat(257))),
        &format!("{good} hunter2"),
        &good.replace(r#","data":"hunter2""#, ""),
        &good.replace(r#""version":"1""#, r#""version":1.0"#),
        &good.replace(r#"{"id":"#, r#"{"id":"hunter2","id":"#),
        &deep,
        &batch("1"),
        &batch("{}"),
        &batch(r#"{"events":{}}"#),
        &of("1"),
        &of("{}"),
        &of(&single("2")),
        &of(&single("\"\"")),
        &of(&good.replace(r#"{"id":"#, r#"{"id":"hunter2","id":"#)),
        &of(&batch(r#"{"events":[]}"#)),
    ] {
        let error = receiver().parse_webhook(bad.as_bytes()).unwrap_err();
        assert!(
            matches!(error, WebhookError::SerializationError(_)),
            "{bad}"
        );
        let shown = format!("{error} {error:?} {:?}", error.source());
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn an_array_of_the_fields_is_no_envelope() {
    let event = r#"["id","event","timestamp",{"n":1},"1.0"]"#;
    let batch = |data: &str| {
        format!(
            r#"{{"id":"b","event":"webhook.batch","timestamp":"t","data":{data},"version":"1"}}"#
        )
    };
    let object = r#"{"id":"a","event":"e","timestamp":"t","data":1,"version":"1"}"#;
    for bad in [
        event.into(),
        batch(&format!("[[{object}]]")),
        batch(&format!(r#"{{"events":[{event}]}}"#)),
    ] {
        assert!(receiver().parse_webhook(bad.as_bytes()).is_err(), "{bad}");
    }
    let good = batch(&format!(r#"{{"events":[{object}]}}"#));
    let webhook = receiver().parse_webhook(good.as_bytes()).unwrap();
    assert_eq!(webhook.into_events().count(), 1);
}

#[test]
fn a_body_that_is_no_utf_8_is_refused_wherever_it_is_not() {
    let good = r#"{"id":"a","event":"e","timestamp":"t","data":"x","version":"1","more":"y"}"#;
    assert!(receiver().parse_webhook(good.as_bytes()).is_ok());
    for part in ["x", "y", "more"] {
        let mut bad = good.as_bytes().to_vec();
        bad[good.find(part).unwrap()] = 0xff;
        let error = receiver().parse_webhook(&bad).unwrap_err();
        assert!(error.to_string().contains("utf-8") && error.source().is_some());
    }
}

#[test]
fn debug_leaves_the_data_out() {
    let body = event("user.created", 424_242);
    let webhook = receiver().parse_webhook(&body).unwrap();
    let shown = format!("{webhook:?}");
    assert!(shown.contains("user.created") && !shown.contains("424242"));
}

#[test]
fn the_error_tells_a_bad_signature_from_a_bad_body() {
    let body = b"not json";
    let refused = receiver().receive(&HeaderMap::new(), body).unwrap_err();
    let missing = SignatureError::MissingHeader;
    assert!(matches!(refused, ReceiveError::Signature(reason) if reason == missing));
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert!(matches!(refused.into(), WebhookError::InvalidSignature));

    let refused = receiver().receive(&signed(body), body).unwrap_err();
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    assert!(refused.source().is_some());
    assert!(matches!(
        refused.into(),
        WebhookError::SerializationError(_)
    ));
}

#[test]
fn the_longest_body_is_exact() {
    let body = event("user.created", 1);
    let receiver = receiver().with_max_body(body.len());
    assert!(receiver.receive(&signed(&body), &body).is_ok());
    let receiver = receiver.with_max_body(body.len() - 1);
    assert!(receiver.verify(&signed(&body), &body).is_ok());
    assert!(receiver.parse_webhook(&body).is_err());
    let refused = receiver.receive(&signed(&body), &body).unwrap_err();
    assert_eq!(refused.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let text = format!("longer than {} bytes", body.len() - 1);
    assert!(WebhookError::from(refused).to_string().contains(&text));
}

#[test]
fn a_batch_of_16_mib_is_taken_when_the_limit_allows_it() {
    let event_type = EventType::new("big").unwrap();
    let filler = "x".repeat(1 << 20);
    let event = envelope(EventId::new(AT), &event_type, AT, &filler, 2 << 20).unwrap();
    let body = batch(&vec![event; 15]);
    assert!(receiver().receive(&signed(&body), &body).is_err());
    let receiver = receiver().with_max_body(17 << 20);
    let webhook = receiver.receive(&signed(&body), &body).unwrap();
    assert_eq!(webhook.into_events().count(), 15);
}

#[test]
fn bodies_of_every_common_type_are_taken_by_reference() {
    let bytes = event("user.created", 1);
    let headers = signed(&bytes);
    let receiver = receiver();
    let vec: Vec<u8> = bytes.to_vec();
    let boxed: Box<[u8]> = vec.clone().into();
    let slice: &[u8] = &vec;
    assert!(receiver.verify_signature(&headers, &bytes).unwrap());
    assert!(receiver.verify_signature(&headers, &vec).unwrap());
    assert!(receiver.verify_signature(&headers, &boxed).unwrap());
    assert!(receiver.verify_signature(&headers, slice).unwrap());
    assert_eq!(
        receiver.parse_webhook(&bytes).unwrap().event,
        "user.created"
    );
}

#[test]
fn only_a_ping_has_a_challenge_to_answer() {
    let receiver = WebhookReceiver::new("secret");
    let parse = |event: &str, data: serde_json::Value| {
        let event_type = EventType::new(event).unwrap();
        let body = envelope(EventId::new(AT), &event_type, AT, &data, 10_000).unwrap();
        receiver.parse_webhook(&body).unwrap()
    };
    let quoted = "a\"b\\c é";
    let ping = parse("webhook.ping", json!({ "challenge": quoted }));
    assert_eq!(ping.challenge(), Some(quoted));
    let response: serde_json::Value =
        serde_json::from_str(&ping.challenge_response().unwrap()).unwrap();
    assert_eq!(response, json!({ "challenge": quoted }));
    assert!(!format!("{ping:?}").contains("a\\\"b"));
    for other in [
        parse("user.created", json!({ "challenge": "x" })),
        parse("webhook.ping", json!({ "challenge": 1 })),
        parse("webhook.ping", json!({ "challenge": "" })),
        parse("webhook.ping", json!({ "challenge": "x".repeat(257) })),
        parse("webhook.ping", json!("challenge")),
    ] {
        assert_eq!(other.challenge(), None);
        assert_eq!(other.challenge_response(), None);
    }
}

/// The text of the data of each case, and whether an event may carry it.
fn data_vectors() -> Vec<(String, bool)> {
    let text = include_str!("../../../tests/vectors/event_data.json");
    let vectors: serde_json::Value = serde_json::from_str(text).unwrap();
    let cases = vectors["cases"].as_array().unwrap().iter();
    cases
        .map(|case| {
            (
                case["data"].as_str().unwrap().into(),
                case["expect"].is_null(),
            )
        })
        .collect()
}

#[test]
fn what_may_be_sent_is_never_refused_and_there_to_the_byte() {
    let mut allowed = Vec::new();
    for (data, is_allowed) in data_vectors() {
        let raw: &RawValue = serde_json::from_str(&data).unwrap();
        let event_type = EventType::new("a").unwrap();
        let body = envelope(EventId::new(AT), &event_type, AT, raw, 1 << 20);
        assert_eq!(body.is_ok(), is_allowed, "{data}");
        allowed.extend(body.ok().map(|body| (raw.get().to_owned(), body)));
    }
    let bodies: Vec<_> = allowed.iter().map(|(_, body)| body.clone()).collect();
    let batch = batch(&bodies);
    receiver().receive(&signed(&batch), &batch).unwrap();
    let of_batch = receiver().receive_raw(&signed(&batch), &batch).unwrap();
    assert_eq!(of_batch.into_events().count(), allowed.len());
    let of_batch = receiver().parse_raw(&batch).unwrap().into_events();
    for (inner, (data, body)) in of_batch.zip(&allowed) {
        receiver().receive(&signed(body), body).unwrap();
        let single = receiver().receive_raw(&signed(body), body).unwrap();
        assert_eq!((single.data.get(), inner.data.get()), (&**data, &**data));
        assert_eq!(single.id, inner.id);
        assert!(!format!("{single:?}").contains("data"));
    }
    let (first, other) = (&allowed[0].1, &allowed[1].1);
    let refused = receiver().receive_raw(&signed(first), other).unwrap_err();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
}
