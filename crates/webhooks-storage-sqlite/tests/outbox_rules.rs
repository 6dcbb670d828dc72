//! Both doors of the outbox, `Outbox::send` and the view for any client, have the rules of every other
//! way of sending: the vectors are those of the facade. The view refuses what they refuse, with texts
//! that name no numbers.

#![expect(clippy::panic, reason = "a failed test may panic in its helpers too")]

mod support;

use std::time::Duration;

use rusqlite::ffi::ErrorCode;
use serde::Deserialize;
use serde_json::value::RawValue;
use support::{client, remove, storage};
use webhooks_core::storage::WebhookStorage;
use webhooks_core::{TraceContext, WebhookError};
use webhooks_storage_sqlite::Outbox;

#[derive(Deserialize)]
struct Vectors<T> {
    cases: Vec<T>,
}

#[derive(Deserialize)]
struct Data {
    id: String,
    data: String,
    expect: Option<String>,
}

#[derive(Deserialize)]
struct Name {
    id: String,
    text: String,
    expect: Option<String>,
}

#[derive(Deserialize)]
struct Options {
    id: String,
    event_type: Option<String>,
    delay_ms: Option<u64>,
    max_retries: Option<u32>,
    expect: Option<String>,
}

fn by_outbox<T>(answer: Result<T, WebhookError>) -> Option<String> {
    match answer {
        Ok(_) => None,
        Err(WebhookError::InvalidEvent(text)) => Some(text.to_string()),
        Err(error) => panic!("{error}"),
    }
}

fn by_sql(answer: rusqlite::Result<usize>) -> Option<String> {
    let error = answer.err()?;
    assert_eq!(
        error.sqlite_error_code(),
        Some(ErrorCode::ConstraintViolation),
        "{error}"
    );
    Some(error.to_string())
}

#[tokio::test]
async fn data_has_one_rule() {
    let storage = storage().await;
    let client = client(storage.path());
    let text = include_str!("../../../tests/vectors/event_data.json");
    for case in serde_json::from_str::<Vectors<Data>>(text).unwrap().cases {
        let raw = RawValue::from_string(case.data.clone()).unwrap();
        let first = by_outbox(Outbox::new(&client).send("a", &raw));
        let sql = "INSERT INTO webhook_send (event, data) VALUES ('a', ?1)";
        let second = by_sql(client.execute(sql, [&case.data]));
        assert_eq!(first.is_some(), case.expect.is_some(), "{}", case.id);
        // Beyond a depth of 1,000 the library takes it for no JSON at all.
        assert_eq!(first.is_some(), second.is_some(), "{}", case.id);
    }
    remove(storage.path());
}

#[tokio::test]
async fn what_is_no_json_is_no_data() {
    let storage = storage().await;
    let client = client(storage.path());
    let sql = "INSERT INTO webhook_send (event, data) VALUES ('a', ?1)";
    for bad in [
        "", "{", "{a:1}", "[1,]", "// c\n1", "'a'", "0x10", "+1", "NaN", "1 2",
    ] {
        assert!(by_sql(client.execute(sql, [bad])).is_some(), "{bad}");
    }
    // Beside 250 empty objects, which are many brackets and one level.
    let wide = format!("[{}{{}}]", "{},".repeat(250));
    assert!(by_sql(client.execute(sql, [wide])).is_none());
    let deep = format!("{}1{}", "[".repeat(20_000), "]".repeat(20_000));
    assert!(by_sql(client.execute(sql, [deep])).is_some());
    remove(storage.path());
}

#[tokio::test]
async fn names_have_one_rule() {
    let storage = storage().await;
    let client = client(storage.path());
    let text = include_str!("../../../tests/vectors/names.json");
    for case in serde_json::from_str::<Vectors<Name>>(text).unwrap().cases {
        let outbox = Outbox::new(&client);
        let by_tenant = by_outbox(outbox.webhook("a").tenant(&case.text).send(&1));
        let by_key = by_outbox(outbox.webhook("a").idempotency_key(&case.text).send(&1));
        let by_order = by_outbox(outbox.webhook("a").ordering_key(&case.text).send(&1));
        for (field, first) in [
            ("tenant", by_tenant),
            ("idempotency key", by_key),
            ("ordering key", by_order),
        ] {
            let expect = case.expect.as_ref().map(|says| format!("{field} {says}"));
            assert_eq!(first, expect, "{}", case.id);
            let column = field.replace(' ', "_");
            let sql =
                format!("INSERT INTO webhook_send (event, data, {column}) VALUES ('a', '1', ?1)");
            let second = by_sql(client.execute(&sql, [&case.text]));
            assert_eq!(second.is_some(), expect.is_some(), "{} {field}", case.id);
        }
    }
    remove(storage.path());
}

#[tokio::test]
async fn options_have_one_rule() {
    let storage = storage().await;
    let client = client(storage.path());
    let text = include_str!("../../../tests/vectors/send_options.json");
    for case in serde_json::from_str::<Vectors<Options>>(text)
        .unwrap()
        .cases
    {
        let event_type = case.event_type.as_deref().unwrap_or("a");
        let delay = Duration::from_millis(case.delay_ms.unwrap_or(0));
        let outbox = Outbox::new(&client);
        let mut event = outbox.webhook(event_type).delay(delay);
        if let Some(retries) = case.max_retries {
            event = event.max_retries(retries);
        }
        assert_eq!(by_outbox(event.send(&1)), case.expect, "{}", case.id);
        let sql = "INSERT INTO webhook_send (event, data, delay_ms, max_retries) \
                   VALUES (?1, '1', ?2, ?3)";
        let delay = case
            .delay_ms
            .map(|ms| i64::try_from(ms).unwrap_or(i64::MAX));
        let second = by_sql(client.execute(sql, (event_type, delay, case.max_retries)));
        assert_eq!(
            second.is_some(),
            case.expect.is_some(),
            "{}: {second:?}",
            case.id
        );
    }
    remove(storage.path());
}

#[tokio::test]
async fn traces_have_one_rule() {
    let storage = storage().await;
    let client = client(storage.path());
    let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let good = format!("00-{trace}-{span}-01");
    let long = "a".repeat(513);
    let cases = [
        (good.clone(), None),
        (good.clone(), Some("a=b,c=d")),
        (String::new(), None),
        (format!("01-{trace}-{span}-01"), None),
        (format!("00-{trace}-{span}-01-"), None),
        (format!("00-{trace}-{span}-0\0"), None),
        (format!("00-{}-{span}-01", trace.to_uppercase()), None),
        (format!("00-{}-{span}-01", "0".repeat(32)), None),
        (format!("00-{trace}-{}-01", "0".repeat(16)), None),
        (format!("00_{trace}-{span}-01"), None),
        (good.clone(), Some("")),
        (good.clone(), Some("a\nb")),
        (good.clone(), Some("a\0b")),
        (good.clone(), Some("ä")),
        (good, Some(&*long)),
    ];
    let sql = "INSERT INTO webhook_send (event, data, traceparent, tracestate) \
               VALUES ('a', '1', ?1, ?2)";
    for (parent, state) in cases {
        let first = TraceContext::new(&parent, state);
        let second = by_sql(client.execute(sql, (&parent, state)));
        assert_eq!(first.is_err(), second.is_some(), "{parent:?} {state:?}");
        if let Ok(trace) = first {
            let outbox = Outbox::new(&client);
            assert_eq!(by_outbox(outbox.webhook("a").trace(&trace).send(&1)), None);
            let sent = storage.read_outbox(1_000, 1 << 20).await.unwrap();
            let same = sent.iter().rev().take(2);
            assert!(same.into_iter().all(|e| e.trace.as_ref() == Some(&trace)));
        }
    }
    assert!(by_sql(client.execute(sql, (None::<&str>, "a=b"))).is_some());
    remove(storage.path());
}

#[tokio::test]
async fn what_has_another_type_is_refused() {
    let storage = storage().await;
    let client = client(storage.path());
    for column in [
        "tenant",
        "idempotency_key",
        "ordering_key",
        "traceparent",
        "tracestate",
    ] {
        let sql =
            format!("INSERT INTO webhook_send (event, data, {column}) VALUES ('a', '1', x'61')");
        assert!(by_sql(client.execute(&sql, [])).is_some(), "{column}");
    }
    for sql in [
        "INSERT INTO webhook_send (event, data) VALUES (x'61', '1')",
        "INSERT INTO webhook_send (event, data, max_bytes) VALUES ('a', '1', 'many')",
        "INSERT INTO webhook_send (event, data, max_bytes) VALUES ('a', '1', 1e9)",
    ] {
        assert!(by_sql(client.execute(sql, [])).is_some(), "{sql}");
    }
    assert!(
        storage
            .read_outbox(1_000, 1 << 20)
            .await
            .unwrap()
            .is_empty()
    );
    remove(storage.path());
}
