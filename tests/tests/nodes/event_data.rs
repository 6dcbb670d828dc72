//! One rule for the data of events, and for what names tenants and keys, on each storage: what it
//! allows arrives to the byte and is read, what it forbids is refused before anything is stored.

use std::collections::HashMap;
use std::time::Duration;

use better_auth_webhooks::{BatchConfig, OutgoingEvent, WebhookEndpoint, WebhookError};
use serde::Deserialize;
use serde_json::value::RawValue;
use webhooks_tests::Receiver;

use crate::place::{Place, endpoint, on_each_storage};

on_each_storage! {
    allowed_data_arrives_to_the_byte_and_the_rest_is_refused
    names_have_one_rule
}

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

fn data_cases() -> Vec<Data> {
    let text = include_str!("../../vectors/event_data.json");
    let mut cases = serde_json::from_str::<Vectors<Data>>(text).unwrap().cases;
    for depth in [14_552, 20_000] {
        cases.push(Data {
            id: format!("{depth} deep"),
            data: format!("{}1{}", "[".repeat(depth), "]".repeat(depth)),
            expect: Some("data is nested more than 100 deep".into()),
        });
    }
    cases
}

fn name_cases() -> Vec<Name> {
    let text = include_str!("../../vectors/names.json");
    let mut cases = serde_json::from_str::<Vectors<Name>>(text).unwrap().cases;
    // Not in the vectors, since it is no text in PostgreSQL at all.
    cases.push(Name {
        id: "a zero".into(),
        text: "a\0b".into(),
        expect: Some("holds a control character".into()),
    });
    cases.push(Name {
        id: "1 MiB".into(),
        text: "x".repeat(1 << 20),
        expect: Some("has 1048576 bytes, it needs 1 to 256".into()),
    });
    cases
}

fn check<T>(id: &str, answer: &Result<T, WebhookError>, expect: Option<&str>) {
    match (answer, expect) {
        (Ok(_), None) => {}
        (Err(WebhookError::InvalidEvent(text)), Some(expect)) => {
            assert!(text.to_string().contains(expect), "{id}: {text}");
        }
        (Err(error), _) => panic!("{id}: {error}"),
        (Ok(_), Some(expect)) => panic!("{id} was taken, not: {expect}"),
    }
}

async fn allowed_data_arrives_to_the_byte_and_the_rest_is_refused(place: &Place) {
    let (single, batched) = (
        Receiver::responding(200).await,
        Receiver::responding(200).await,
    );
    let system = place.node().await;
    let batching = WebhookEndpoint {
        batch: Some(BatchConfig {
            max_events: 100,
            max_wait_ms: 200,
            max_bytes: 1 << 20,
        }),
        ..endpoint("batched", &batched.url())
    };
    for endpoint in [endpoint("single", &single.url()), batching] {
        system.register_endpoint(endpoint).await.unwrap();
    }
    let cases = data_cases();
    let mut sent = HashMap::new();
    let raw = |case: &Data| RawValue::from_string(case.data.clone()).unwrap();
    for case in &cases {
        let answer = system.send_webhook("a", raw(case)).await;
        check(&case.id, &answer, case.expect.as_deref());
        sent.extend(answer.ok().map(|receipt| (receipt.event_id, raw(case))));
    }
    let events = cases.iter().map(|c| OutgoingEvent::new("a").data(raw(c)));
    let answers = system.send_batch(events).await.unwrap();
    for (case, answer) in cases.iter().zip(answers) {
        check(&case.id, &answer, case.expect.as_deref());
        sent.extend(answer.ok().map(|receipt| (receipt.event_id, raw(case))));
    }
    assert!(system.drain(Duration::from_secs(30)).await.unwrap());
    let metrics = system.get_metrics().await.unwrap();
    assert_eq!(metrics.failed_deliveries, 0);
    assert_eq!(metrics.total_deliveries, 2 * sent.len() as u64);

    for (receiver, is_batched) in [(single, false), (batched, true)] {
        let secret = format!("the secret of {}", receiver.url());
        let verifier = better_auth_webhooks::WebhookReceiver::new(secret);
        let mut arrived = 0;
        for request in receiver.received() {
            let webhook = verifier.receive(&request.headers, &request.body).unwrap();
            assert!(is_batched || !webhook.is_batch());
            let copied: Vec<_> = webhook.events().collect();
            assert!(copied == webhook.into_events().collect::<Vec<_>>());
            let raw = verifier.receive_raw(&request.headers, &request.body);
            for (raw, event) in raw.unwrap().into_events().zip(copied) {
                // Spaces around the whole are not part of a value.
                assert_eq!(raw.data.get(), sent[&event.id].get().trim());
                assert_eq!(raw.id, event.id);
                arrived += 1;
            }
        }
        assert_eq!(arrived, sent.len());
    }
}

async fn names_have_one_rule(place: &Place) {
    let receiver = Receiver::responding(200).await;
    let system = place.node().await;
    let all = endpoint("a", &receiver.url());
    system.register_endpoint(all).await.unwrap();
    for case in name_cases() {
        for field in ["tenant", "idempotency key"] {
            let event = system.webhook("a").data(1);
            let event = match field {
                "tenant" => event.tenant(&case.text),
                _ => event.idempotency_key(&case.text),
            };
            let expect = case
                .expect
                .as_ref()
                .map(|expect| format!("{field} {expect}"));
            check(&case.id, &event.send().await, expect.as_deref());
        }
    }
    assert!(system.drain(Duration::from_secs(30)).await.unwrap());
}
