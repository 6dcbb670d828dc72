//! Every text of every call has one verdict, whatever the storage: what one of them could not keep
//! is refused by all, before it is asked, with the field and its bound.

use std::time::Duration;

use better_auth_webhooks::storage::{Change, DeliveryQuery};
use better_auth_webhooks::{
    PreviousSecret, SignatureScheme, Timestamp, WebhookEndpoint, WebhookError, WebhookSystem,
};

use crate::place::{Place, endpoint, on_each_storage};

on_each_storage! {
    every_field_of_an_endpoint_has_one_verdict
    every_id_has_one_verdict
    every_query_has_one_verdict
    a_page_has_at_most_a_thousand
}

const URL: &str = "https://hooks.example.com/in";

/// Texts that some storage might not keep, and others that all of them should.
fn texts() -> Vec<String> {
    let mut texts: Vec<_> = ["\0", "a\0b", "a\u{1}", "a\u{7f}", "a\u{85}"]
        .into_iter()
        .chain([
            "\u{ffff}",
            "\u{10ffff}",
            "😀😀",
            "a'\"\\%_{}:*",
            "a\u{fffd}",
        ])
        .map(String::from)
        .collect();
    texts.extend(["x".repeat(1 << 20), "😀".repeat(1 << 18), String::new()]);
    texts
}

fn is_name(text: &str) -> bool {
    (1..=256).contains(&text.len()) && !text.chars().any(char::is_control)
}

fn shown(error: &WebhookError, field: &str) -> String {
    let text = error.to_string();
    assert!(!matches!(error, WebhookError::StorageError(_)), "{text}");
    assert!(text.len() < 400, "{}", text.len());
    assert!(text.contains(field), "{field}: {text}");
    text
}

type Set = fn(&mut WebhookEndpoint, String);
type Allows = fn(&str) -> bool;

fn fields() -> [(&'static str, Set, Allows); 8] {
    [
        ("id", |e, text| e.id = text, is_name),
        ("tenant", |e, text| e.tenant = Some(text), is_name),
        (
            "secret",
            |e, text| e.secret = text,
            |text| (1..=1_024).contains(&text.len()) && !text.contains('\0'),
        ),
        (
            "secret",
            |e, secret| {
                let expires_at = Timestamp::from_secs(1 << 33);
                e.previous_secrets = vec![PreviousSecret { secret, expires_at }];
            },
            |text| (1..=1_024).contains(&text.len()) && !text.contains('\0'),
        ),
        (
            "url",
            |e, text| e.url = format!("{URL}?{text}"),
            |text| text.len() < 1_024 && !text.chars().any(|c| c.is_control() || c == '\\'),
        ),
        (
            "header",
            |e, text| drop(e.headers.insert("x-a".into(), text)),
            |text| text.len() <= 4_096 && text.chars().all(|c| c == ' ' || c.is_ascii_graphic()),
        ),
        (
            "header",
            |e, text| drop(e.headers.insert(text, "x".into())),
            |_| false,
        ),
        ("event", |e, text| e.events = vec![text], |_| false),
    ]
}

async fn every_field_of_an_endpoint_has_one_verdict(place: &Place) {
    let system = place.node().await;
    for (number, (field, set, allows)) in fields().into_iter().enumerate() {
        for (n, text) in texts().into_iter().enumerate() {
            let mut endpoint = endpoint(&format!("e{number}-{n}"), URL);
            set(&mut endpoint, text.clone());
            let answer = system.register_endpoint(endpoint.clone()).await;
            assert_eq!(answer.is_ok(), allows(&text), "{field} {n}: {answer:?}");
            match answer {
                Err(error) => drop(shown(&error, field)),
                Ok(()) => {
                    let stored = system.get_endpoint(&endpoint.id).await.unwrap();
                    assert!(stored.unwrap() == endpoint, "{field} {n}");
                }
            }
        }
    }
    let secret = "a\0b";
    let rotated = system.rotate_secret("e1-5", secret, Duration::ZERO).await;
    shown(&rotated.unwrap_err(), "secret");
    let standard = WebhookEndpoint {
        signature: SignatureScheme::Standard,
        secret: secret.into(),
        ..endpoint("standard", URL)
    };
    shown(
        &system.register_endpoint(standard).await.unwrap_err(),
        "secret",
    );
}

async fn every_id_has_one_verdict(place: &Place) {
    let system = place.node().await;
    for text in texts() {
        let id = text.as_str();
        let found = system
            .get_endpoint(id)
            .await
            .map(|found| assert!(found.is_none()));
        let answers = [
            found,
            system.delete_endpoint(id).await,
            system.enable_endpoint(id).await,
            system.disable_endpoint(id).await,
            system.pause_endpoint(id).await,
            system.resume_endpoint(id).await,
            system.rotate_secret(id, "new", Duration::ZERO).await,
            system.verify_endpoint(id).await,
            system.endpoint_metrics(id).await.map(drop),
            system.webhook("a").endpoint(id).send().await.map(drop),
        ];
        for (n, answer) in answers.into_iter().enumerate() {
            match (answer, is_name(id)) {
                (Ok(()), true) => assert_eq!(n, 0),
                (Err(WebhookError::EndpointNotFound(_)), true) => assert_ne!(n, 0),
                (Err(error @ WebhookError::InvalidId(_)), false) => {
                    shown(&error, "endpoint id");
                }
                (answer, _) => panic!("{n} of {id:.10?}: {answer:?}"),
            }
        }
        let letters = system.dead_letters();
        for error in [
            system.delivery(id).await.map(drop).unwrap_err(),
            letters.inspect(id).await.map(drop).unwrap_err(),
            letters.replay(id).await.unwrap_err(),
            letters.purge(id).await.unwrap_err(),
        ] {
            assert!(matches!(error, WebhookError::InvalidId(_)));
            shown(&error, "");
        }
    }
}

async fn verdicts(system: &WebhookSystem, query: &DeliveryQuery) -> Vec<Result<(), WebhookError>> {
    let letters = system.dead_letters();
    vec![
        system.deliveries(query).await.map(drop),
        letters.list(query).await.map(drop),
        system.cancel(query).await.map(drop),
        system.erase_payloads(query).await.map(drop),
        letters.replay_all(query).await.map(drop),
        letters.purge_all(query).await.map(drop),
        system
            .change_some(query, Change::Cancel, 10)
            .await
            .map(drop),
    ]
}

async fn every_query_has_one_verdict(place: &Place) {
    let system = place.node().await;
    let storage = place.storage().await;
    for text in texts() {
        for field in ["endpoint_ids", "tenant"] {
            let mut query = DeliveryQuery::default();
            let text = text.as_str();
            let allowed = is_name(text);
            match field {
                "tenant" => query.tenant = Some(text.into()),
                _ => query.endpoint_ids = Some(vec![text.into()]),
            }
            let mut answers = verdicts(&system, &query).await;
            answers.push(storage.deliveries(&query).await.map(drop));
            let now = Timestamp::EPOCH;
            answers.push(
                storage
                    .change(&query, Change::Cancel, 10, now)
                    .await
                    .map(drop),
            );
            for answer in answers {
                match answer {
                    Ok(()) => assert!(allowed, "{field}: {text:.10?}"),
                    Err(error) => {
                        assert!(matches!(error, WebhookError::InvalidQuery(_)), "{error}");
                        assert!(!allowed);
                        shown(&error, field);
                    }
                }
            }
        }
    }
}

async fn a_page_has_at_most_a_thousand(place: &Place) {
    let system = place.node().await;
    let storage = place.storage().await;
    for (limit, allowed) in [
        (0, false),
        (1, true),
        (1_000, true),
        (1_001, false),
        (usize::MAX, false),
    ] {
        let query = DeliveryQuery {
            limit,
            ..DeliveryQuery::default()
        };
        for answer in [
            system.deliveries(&query).await.map(drop),
            system.dead_letters().list(&query).await.map(drop),
            storage.deliveries(&query).await.map(drop),
            system
                .change_some(&DeliveryQuery::default(), Change::Cancel, limit)
                .await
                .map(drop),
        ] {
            assert_eq!(answer.is_ok(), allowed, "{limit}: {answer:?}");
            if let Err(error) = answer {
                assert!(matches!(error, WebhookError::InvalidQuery(_)));
                shown(&error, &format!("limit is {limit}, it needs 1 to 1000"));
            }
        }
        // What changes deliveries takes no page.
        system.cancel(&query).await.unwrap();
    }
}
