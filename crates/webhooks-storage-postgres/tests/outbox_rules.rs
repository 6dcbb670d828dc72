//! Both doors of the outbox, `outbox(&tx).send()` and the SQL function, have the rules of every
//! other way of sending: the vectors are those of the facade.

#![expect(clippy::panic, reason = "a failed test may panic in its helpers too")]

mod support;

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use support::{client, drop_schema, fresh_schema, storage};
use tokio_postgres::error::SqlState;
use webhooks_core::WebhookError;
use webhooks_core::storage::WebhookStorage;

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

/// What a door says: nothing, or the text of its refusal.
type Verdict = Option<String>;

fn by_outbox<T>(answer: Result<T, WebhookError>) -> Verdict {
    match answer {
        Ok(_) => None,
        Err(WebhookError::InvalidEvent(text)) => Some(text.to_string()),
        Err(error) => panic!("{error}"),
    }
}

fn by_sql<T>(answer: Result<T, tokio_postgres::Error>) -> Verdict {
    let error = answer.err()?;
    let error = error.as_db_error().unwrap_or_else(|| panic!("{error}"));
    assert_eq!(error.code(), &SqlState::CHECK_VIOLATION, "{error}");
    Some(error.message().into())
}

#[tokio::test]
async fn data_has_one_rule() {
    let storage = storage(&fresh_schema()).await;
    let mut client = client().await;
    let path = format!("SET search_path = \"{}\"", storage.schema());
    client.batch_execute(&path).await.unwrap();
    let text = include_str!("../../../tests/vectors/event_data.json");
    let cases = serde_json::from_str::<Vectors<Data>>(text).unwrap().cases;
    for strings in ["on", "off"] {
        let set = format!("SET standard_conforming_strings = {strings}");
        client.batch_execute(&set).await.unwrap();
        for case in &cases {
            let transaction = client.transaction().await.unwrap();
            let raw = RawValue::from_string(case.data.clone()).unwrap();
            let first = by_outbox(storage.outbox(&transaction).send("a", &raw).await);
            let sql = "SELECT webhook_send('a', $1::text::json)";
            let second = by_sql(transaction.query(sql, &[&case.data]).await);
            let says = |verdict: &Verdict| verdict.clone().unwrap_or_default();
            assert_eq!(first, second, "{}", case.id);
            assert_eq!(first.is_some(), case.expect.is_some(), "{}", case.id);
            let expect = case.expect.clone().unwrap_or_default();
            assert!(
                says(&first).contains(&expect),
                "{}: {}",
                case.id,
                says(&first)
            );
            if first.is_some() {
                transaction.rollback().await.unwrap();
                continue;
            }
            transaction.commit().await.unwrap();
            let found = WebhookStorage::read_outbox(&storage, 1_000, 1 << 20)
                .await
                .unwrap();
            let same = found
                .iter()
                // Spaces around the whole are not part of a value.
                .filter(|event| event.data.trim_ascii() == case.data.trim().as_bytes());
            assert!(same.count() >= 2, "{}", case.id);
        }
    }
    drop_schema(storage.schema()).await;
}

#[tokio::test]
async fn names_have_one_rule() {
    let storage = storage(&fresh_schema()).await;
    let mut client = client().await;
    let path = format!("SET search_path = \"{}\"", storage.schema());
    client.batch_execute(&path).await.unwrap();
    let text = include_str!("../../../tests/vectors/names.json");
    for case in serde_json::from_str::<Vectors<Name>>(text).unwrap().cases {
        for field in ["tenant", "idempotency key", "ordering key"] {
            let transaction = client.transaction().await.unwrap();
            let outbox = storage.outbox(&transaction);
            let event = match field {
                "tenant" => outbox.webhook("a").tenant(&case.text),
                "ordering key" => outbox.webhook("a").ordering_key(&case.text),
                _ => outbox.webhook("a").idempotency_key(&case.text),
            };
            let first = by_outbox(event.send(&1).await);
            let named = field.replace(' ', "_");
            let sql = format!("SELECT webhook_send('a', '1', {named} => $1)");
            let second = by_sql(transaction.query(&sql, &[&case.text]).await);
            let expect = case.expect.as_ref().map(|says| format!("{field} {says}"));
            assert_eq!((&first, &second), (&expect, &expect), "{}", case.id);
            transaction.rollback().await.unwrap();
        }
    }
    drop_schema(storage.schema()).await;
}

#[tokio::test]
async fn options_have_one_rule() {
    let storage = storage(&fresh_schema()).await;
    let mut client = client().await;
    let path = format!("SET search_path = \"{}\"", storage.schema());
    client.batch_execute(&path).await.unwrap();
    let text = include_str!("../../../tests/vectors/send_options.json");
    for case in serde_json::from_str::<Vectors<Options>>(text)
        .unwrap()
        .cases
    {
        let event_type = case.event_type.as_deref().unwrap_or("a");
        let delay = Duration::from_millis(case.delay_ms.unwrap_or(0));
        let transaction = client.transaction().await.unwrap();
        let outbox = storage.outbox(&transaction);
        let mut event = outbox.webhook(event_type).delay(delay);
        if let Some(retries) = case.max_retries {
            event = event.max_retries(retries);
        }
        let first = by_outbox(event.send(&1).await);
        let sql = "SELECT webhook_send($1, '1', delay => $2 * interval '1 ms', max_retries => $3)";
        let delay = case.delay_ms.unwrap_or(0) as f64;
        let retries = case.max_retries.map(|n| i32::try_from(n).unwrap());
        let second = by_sql(
            transaction
                .query(sql, &[&event_type, &delay, &retries])
                .await,
        );
        assert_eq!(
            (&first, &second),
            (&case.expect, &case.expect),
            "{}",
            case.id
        );
        transaction.rollback().await.unwrap();
    }
    drop_schema(storage.schema()).await;
}

#[tokio::test]
async fn a_zero_and_a_mebibyte_do_not_spoil_the_transaction() {
    let storage = storage(&fresh_schema()).await;
    let mut client = client().await;
    let transaction = client.transaction().await.unwrap();
    let outbox = storage.outbox(&transaction);
    let long = "x".repeat(1 << 20);
    for bad in ["a\0b", &long] {
        assert!(by_outbox(outbox.webhook("a").tenant(bad).send(&1).await).is_some());
        assert!(by_outbox(outbox.webhook("a").idempotency_key(bad).send(&1).await).is_some());
        assert!(by_outbox(outbox.send(bad, &1).await).is_some());
    }
    let deep = format!("{}1{}", "[".repeat(20_000), "]".repeat(20_000));
    let deep = RawValue::from_string(deep).unwrap();
    assert!(by_outbox(outbox.send("a", &deep).await).is_some());
    outbox.send("a", &1).await.unwrap();
    transaction.commit().await.unwrap();
    drop_schema(storage.schema()).await;
}
