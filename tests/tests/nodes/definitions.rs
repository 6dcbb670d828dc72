//! Definitions that two nodes change at the same moment: what each was told is so.

use std::time::Duration;

use better_auth_webhooks::storage::DisabledBy;
use better_auth_webhooks::{WebhookEndpoint, WebhookError, WebhookSystem};
use serde_json::json;
use webhooks_tests::Receiver;

use crate::place::{Place, endpoint, of_tenant, on_each_storage, until};

/// How often each race is run.
const ROUNDS: usize = 12;
const DAY: Duration = Duration::from_secs(86_400);

on_each_storage! {
    a_rotation_beside_a_disabling_stays_disabled
    a_rotation_beside_a_deletion_stays_deleted
    two_rotations_keep_both_secrets
    a_rotation_beside_a_410_stays_disabled
    one_of_two_registrations_wins
    the_same_registration_on_two_nodes_is_fine
}

async fn two(place: &Place) -> (WebhookSystem, WebhookSystem) {
    (place.node().await, place.node().await)
}

async fn stored(system: &WebhookSystem, id: &str) -> Option<WebhookEndpoint> {
    system.get_endpoint(id).await.unwrap()
}

async fn a_rotation_beside_a_disabling_stays_disabled(place: &Place) {
    let (one, two) = two(place).await;
    for round in 0..ROUNDS {
        let id = format!("endpoint_{round}");
        let new = endpoint(&id, "https://example.com/");
        one.register_endpoint(new).await.unwrap();
        let (rotated, disabled) = tokio::join!(
            one.rotate_secret(&id, "new", DAY),
            two.disable_endpoint(&id)
        );
        rotated.unwrap();
        disabled.unwrap();
        let endpoint = stored(&one, &id).await.unwrap();
        assert!(!endpoint.enabled, "in round {round}");
        assert_eq!(endpoint.secret, "new");
    }
}

async fn a_rotation_beside_a_deletion_stays_deleted(place: &Place) {
    let (one, two) = two(place).await;
    for round in 0..ROUNDS {
        let id = format!("endpoint_{round}");
        let new = endpoint(&id, "https://example.com/");
        one.register_endpoint(new).await.unwrap();
        let (rotated, deleted) =
            tokio::join!(one.rotate_secret(&id, "new", DAY), two.delete_endpoint(&id));
        deleted.unwrap();
        assert!(matches!(
            rotated,
            Ok(()) | Err(WebhookError::EndpointNotFound(_))
        ));
        assert!(stored(&one, &id).await.is_none(), "in round {round}");
    }
}

async fn two_rotations_keep_both_secrets(place: &Place) {
    let (one, two) = two(place).await;
    for round in 0..ROUNDS {
        let id = format!("endpoint_{round}");
        let new = endpoint(&id, "https://example.com/");
        let first = new.secret.clone();
        one.register_endpoint(new).await.unwrap();
        let (a, b) = tokio::join!(
            one.rotate_secret(&id, "new_a", DAY),
            two.rotate_secret(&id, "new_b", DAY)
        );
        a.unwrap();
        b.unwrap();
        let endpoint = stored(&one, &id).await.unwrap();
        let previous = endpoint.previous_secrets.iter().map(|p| p.secret.as_str());
        let mut live: Vec<_> = previous.chain([endpoint.secret.as_str()]).collect();
        live.sort_unstable();
        assert_eq!(live, ["new_a", "new_b", first.as_str()], "in round {round}");
    }
}

async fn a_rotation_beside_a_410_stays_disabled(place: &Place) {
    let gone = Receiver::responding(410).await;
    let system = place.node().await;
    for round in 0..ROUNDS {
        let id = format!("endpoint_{round}");
        let new = endpoint(&id, &gone.url());
        system.register_endpoint(new).await.unwrap();
        let event = system.webhook("user.created").data(json!(1)).endpoint(&id);
        event.send().await.unwrap();
        for n in 0..4 {
            let secret = format!("new_{n}");
            system
                .rotate_secret(&id, secret, Duration::ZERO)
                .await
                .unwrap();
        }
        until("it is disabled", async || {
            let all = system.list_endpoints().await.unwrap();
            let record = all.iter().find(|r| r.endpoint.id == id).unwrap();
            record.gate.disabled == Some(DisabledBy::Gone) && !record.endpoint.enabled
        })
        .await;
        system
            .rotate_secret(&id, "last", Duration::ZERO)
            .await
            .unwrap();
        assert!(!stored(&system, &id).await.unwrap().enabled);
    }
}

async fn one_of_two_registrations_wins(place: &Place) {
    let (one, two) = two(place).await;
    for round in 0..ROUNDS {
        let id = format!("endpoint_{round}");
        let a = of_tenant(&id, "https://example.com/", "org_1");
        let b = of_tenant(&id, "https://example.com/", "org_2");
        let (first, second) = tokio::join!(
            one.register_endpoint(a.clone()),
            two.register_endpoint(b.clone())
        );
        let winner = stored(&one, &id).await.unwrap();
        let exists = |r: &Result<(), _>| matches!(r, Err(WebhookError::EndpointExists(_)));
        match (&first, &second) {
            (Ok(()), refused) if exists(refused) => assert!(winner == a),
            (refused, Ok(())) if exists(refused) => assert!(winner == b),
            other => panic!("in round {round}: {other:?}"),
        }
    }
}

async fn the_same_registration_on_two_nodes_is_fine(place: &Place) {
    let (one, two) = two(place).await;
    for round in 0..ROUNDS {
        let new = endpoint(&format!("endpoint_{round}"), "https://example.com/");
        let (first, second) = tokio::join!(
            one.register_endpoint(new.clone()),
            two.register_endpoint(new.clone())
        );
        first.unwrap();
        second.unwrap();
    }
}
