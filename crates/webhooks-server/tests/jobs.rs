//! Changes of many deliveries, over real sockets.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed expectation here is a failed test"
)]

mod support;

use std::time::Duration;

use better_auth_webhooks::storage::{Document, Expected};
use reqwest::Method;
use serde_json::{Value, json};
use support::{Caller, ROOT, Running, serve, start};
use webhooks_server::{Scope, Server};
use webhooks_tests::{Receiver, Response};

const DEAD: usize = 1_500;

/// A server with an endpoint that has answered each event with 500 once, and answers with 200 from
/// then on.
async fn with_dead() -> (Running, Receiver) {
    let server = start().await;
    let receiver = Receiver::start(|_, number| match number {
        ..=DEAD => Response::Status(400),
        _ => Response::Status(200),
    })
    .await;
    let root = server.root();
    // A circuit breaker would hold the rest.
    let body = json!({ "id": "ep", "url": receiver.url(), "events": ["*"], "tenant": "a" });
    assert_eq!(root.post("/api/v1/endpoints", &body).await.status, 201);
    let event = json!({ "type": "a.b", "tenant": "a", "data": 1 });
    for _ in 0..DEAD / 500 {
        let events = json!({ "events": vec![event.clone(); 500] });
        assert_eq!(root.post("/api/v1/events/batch", &events).await.status, 200);
    }
    count(&root, "state=dead", DEAD).await;
    (server, receiver)
}

/// Waits until so many deliveries match.
async fn count(root: &Caller, filter: &str, wanted: usize) {
    let path = format!("/api/v1/deliveries/count?{filter}");
    let mut last = Value::Null;
    for _ in 0..1_500 {
        last = root.get(&path).await.json()["count"].clone();
        if last == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{filter}: {last} in place of {wanted}");
}

/// Waits until a job has ended.
async fn ended(root: &Caller, id: &str) -> Value {
    for _ in 0..1_500 {
        let job = root.get(&format!("/api/v1/jobs/{id}")).await.json();
        if job["state"] != "running" {
            return job;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{id} never ends");
}

#[tokio::test]
async fn dead_letters_are_counted_first_and_replayed_in_the_background() {
    let (server, receiver) = with_dead().await;
    let root = server.root();
    let job = |more: Value| {
        let mut body = json!({ "action": "replay", "filter": { "endpoint_id": ["ep"] } });
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        body
    };
    let dry = root
        .post("/api/v1/jobs", &job(json!({ "dry_run": true })))
        .await;
    assert_eq!(dry.status, 200, "{}", dry.text);
    assert_eq!(dry.json(), json!({ "matched": DEAD, "capped": false }));
    let fewer = root
        .post("/api/v1/jobs", &job(json!({ "expected_count": 10 })))
        .await;
    fewer.is_problem(409, "more-than-expected");
    let made = root
        .post("/api/v1/jobs", &job(json!({ "expected_count": DEAD })))
        .await;
    assert_eq!(made.status, 202, "{}", made.text);
    let id = made.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(made.header("location"), format!("jobs/{id}"));
    let job = ended(&root, &id).await;
    assert_eq!(
        (&job["state"], &job["changed"]),
        (&json!("done"), &json!(DEAD))
    );
    assert_eq!(job["created_by"], "root");
    count(&root, "state=delivered", DEAD).await;
    assert_eq!(receiver.count(), 2 * DEAD);
    let stop = root
        .call(Method::POST, &format!("/api/v1/jobs/{id}/stop"))
        .await;
    stop.is_problem(409, "wrong-state");
    let listed = root.get("/api/v1/jobs").await.json();
    assert_eq!(listed["items"][0]["id"], id);
}

#[tokio::test]
async fn a_job_keeps_to_its_rate_and_stops_when_somebody_wants() {
    let (server, _receiver) = with_dead().await;
    let root = server.root();
    let slow = json!({ "action": "purge", "all": true, "rate_per_second": 10 });
    let made = root.post("/api/v1/jobs", &slow).await;
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let stop = root
        .call(Method::POST, &format!("/api/v1/jobs/{id}/stop"))
        .await;
    assert_eq!((stop.status, &stop.json()["stopping"]), (202, &json!(true)));
    let job = ended(&root, &id).await;
    assert_eq!(job["state"], "stopped");
    let changed = job["changed"].as_u64().unwrap();
    assert!(changed < 100, "{job}");
    let left = DEAD - usize::try_from(changed).unwrap();
    count(&root, "state=dead", left).await;
}

#[tokio::test]
async fn a_tenant_changes_its_own_and_sees_its_own_jobs() {
    let (server, _receiver) = with_dead().await;
    let scopes = [Scope::DeliveriesRead, Scope::DeliveriesWrite];
    let own = server.caller(&scopes, Some("a")).await;
    let other = server.caller(&scopes, Some("b")).await;
    let all = json!({ "action": "replay", "all": true });
    let made = other.post("/api/v1/jobs", &all).await;
    assert_eq!((made.status, &made.json()["matched"]), (202, &json!(0)));
    let job = ended(&other, made.json()["id"].as_str().unwrap()).await;
    assert_eq!(job["changed"], 0);
    let purge = json!({ "action": "purge", "all": true });
    own.post("/api/v1/jobs", &purge)
        .await
        .is_problem(403, "scope-missing");
    let made = own.post("/api/v1/jobs", &all).await;
    let id = made.json()["id"].as_str().unwrap().to_owned();
    other
        .get(&format!("/api/v1/jobs/{id}"))
        .await
        .is_problem(404, "not-found");
    let job = ended(&own, &id).await;
    assert_eq!(job["changed"], DEAD);
    let listed = other.get("/api/v1/jobs").await;
    assert!(!listed.text.contains(&id), "{}", listed.text);
}

#[tokio::test]
async fn a_job_whose_process_died_is_ended_by_another() {
    let (server, _receiver) = with_dead().await;
    let now = server.system.now().unwrap();
    let then = now.before(Duration::from_secs(60));
    // As a process leaves it that has made it, and taken one step at most.
    let job = json!({
        "action": "replay", "filter": {}, "endpoint_ids": null, "state": "running", "stop": false,
        "matched": DEAD, "matched_capped": false, "changed": 0, "rate_per_second": null,
        "created_by": "root", "tenant": null, "created_at": now, "updated_at": then,
        "finished_at": null, "problem": null, "run": "of another process", "before": null,
    });
    let document = Document::new("job_1", job.to_string());
    let documents = server.system.documents().unwrap().unwrap();
    let _saved = documents
        .put("job", &document, Expected::Absent, now)
        .await
        .unwrap();
    let second = Server::builder(server.system.clone())
        .root_key(ROOT)
        .build()
        .unwrap();
    let _url = serve(second).await;
    let job = ended(&server.root(), "job_1").await;
    assert_eq!(
        (&job["state"], &job["changed"]),
        (&json!("done"), &json!(DEAD))
    );
    count(&server.root(), "state=delivered", DEAD).await;
}

#[tokio::test]
async fn a_job_that_says_too_little_or_too_much_is_refused() {
    let server = start().await;
    let root = server.root();
    for (body, status, code) in [
        (json!({ "action": "replay" }), 422, "invalid-job"),
        (
            json!({ "action": "replay", "filter": { "state": ["dead"] }, "all": true }),
            422,
            "invalid-job",
        ),
        (
            json!({ "action": "replay", "all": true, "rate_per_second": 0 }),
            422,
            "invalid-job",
        ),
        (
            json!({ "action": "replay", "all": true, "expected_count": 2_000_000 }),
            422,
            "invalid-job",
        ),
        (
            json!({ "action": "replay", "filter": { "sate": "dead" } }),
            400,
            "malformed",
        ),
        (
            json!({ "action": "destroy", "all": true }),
            400,
            "malformed",
        ),
    ] {
        root.post("/api/v1/jobs", &body)
            .await
            .is_problem(status, code);
    }
}
