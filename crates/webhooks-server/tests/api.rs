//! What callers of the API rely on, over real sockets.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed expectation here is a failed test"
)]

mod support;

use reqwest::Method;
use serde_json::{Value, json};
use support::{Caller, answer, expect, receiver, start, start_with};
use webhooks_tests::{Receiver, Response};

#[tokio::test]
async fn an_event_that_is_sent_by_http_arrives_signed() {
    let (server, receiver) = (start().await, receiver().await);
    let root = server.root();
    let made = root.endpoint("ep", &receiver.url(), None).await;
    assert_eq!(made.header("location"), "endpoints/ep");
    let secret = made.json()["secret"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("whsec_"));
    // Never again, whoever asks.
    let shown = root.get("/api/v1/endpoints/ep").await;
    assert_eq!(shown.json()["secret"], json!({ "keep": true }));
    assert!(!shown.text.contains(&secret));
    assert!(
        secret.ends_with(
            shown.json()["secret_info"]["hint"]
                .as_str()
                .unwrap()
                .trim_start_matches('…')
        )
    );

    // Numbers that no float holds, and the order of keys: what goes out is what came in.
    let body = r#"{"type":"user.created","data":{"z":12345678901234567890.10,"a":[1.0]}}"#;
    let request = root.request(Method::POST, "/api/v1/events").body(body);
    let request = request.header("content-type", "application/json");
    let sent = answer(request.header("idempotency-key", "once")).await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    let received = expect(&receiver, 1).await.remove(0);
    let text = std::str::from_utf8(&received.body).unwrap();
    assert!(
        text.contains(r#"{"z":12345678901234567890.10,"a":[1.0]}"#),
        "{text}"
    );
    let verifier = better_auth_webhooks::WebhookReceiver::new(secret);
    verifier.verify(&received.headers, &received.body).unwrap();

    let id = sent.json()["id"].as_str().unwrap().to_owned();
    let delivery = sent.json()["deliveries"][0].as_str().unwrap().to_owned();
    let delivered = root.wait_for(&delivery, "delivered").await;
    assert_eq!(delivered["attempts"][0]["status"], 200);
    let event = root.get(&format!("/api/v1/events/{id}")).await.json();
    assert_eq!(event["deliveries"]["delivered"], 1);
    let payload = root.get(&format!("/api/v1/events/{id}/payload")).await;
    assert_eq!(payload.text, text);
    assert_eq!(payload.header("content-security-policy"), "sandbox");

    let request = root.request(Method::POST, "/api/v1/events").body(body);
    let request = request.header("content-type", "application/json");
    let again = answer(request.header("idempotency-key", "once")).await;
    assert_eq!(
        (again.status, &again.json()["duplicate"]),
        (200, &json!(true))
    );
    assert_eq!(again.json()["id"], id);
    let other = json!({ "type": "user.created", "data": 2 });
    let request = root.request(Method::POST, "/api/v1/events").json(&other);
    let reused = answer(request.header("idempotency-key", "once")).await;
    reused.is_problem(422, "idempotency-key-reused");
}

#[tokio::test]
async fn a_batch_has_an_answer_for_each_event() {
    let (server, receiver) = (start().await, receiver().await);
    let root = server.root();
    root.endpoint("ep", &receiver.url(), None).await;
    let events = json!({ "events": [
        { "type": "a.b", "data": 1, "idempotency_key": "k" },
        { "type": "no type!" },
        { "type": "a.b", "endpoint_id": "nobody" },
        { "type": "a.b", "data": 1, "idempotency_key": "k" },
    ] });
    let sent = root.post("/api/v1/events/batch", &events).await;
    assert_eq!(sent.status, 200, "{}", sent.text);
    let results = &sent.json()["results"];
    assert_eq!(results[0]["deliveries"].as_array().unwrap().len(), 1);
    assert_eq!(results[1]["problem"]["code"], "invalid-event");
    assert_eq!(results[2]["problem"]["status"], 404);
    assert_eq!(results[3]["duplicate"], true);
    assert_eq!(results[3]["id"], results[0]["id"]);
    expect(&receiver, 1).await;
    let none = root
        .post("/api/v1/events/batch", &json!({ "events": [] }))
        .await;
    assert_eq!(
        none.is_problem(422, "invalid-event")["errors"][0]["pointer"],
        "/events"
    );
}

/// Definitions that are refused: the field that is wrong, its value, and what is said.
fn wrong_definitions() -> [(&'static str, Value, u16, &'static str, &'static str); 11] {
    let (long, rate) = ("x".repeat(2_000), json!({ "requests_per_second": -1 }));
    let (keep, no_keep) = (json!({ "keep": true }), json!({ "keep": false }));
    let header = |value: &Value| json!({ "x-a": value });
    let invalid = "invalid-endpoint";
    [
        ("urk", json!(1), 400, "malformed", "/urk"),
        ("events", json!("*"), 400, "malformed", "/events"),
        (
            "rate_limit",
            rate,
            400,
            "malformed",
            "/rate_limit/requests_per_second",
        ),
        (
            "headers",
            header(&no_keep),
            400,
            "malformed",
            "/headers/x-a",
        ),
        ("headers", header(&keep), 422, invalid, "/headers/x-a"),
        ("secret", keep, 422, invalid, "/secret"),
        ("id", json!("two words"), 422, invalid, "/id"),
        (
            "timeout_seconds",
            json!(4_000),
            422,
            invalid,
            "/timeout_seconds",
        ),
        ("description", json!(long), 422, invalid, "/description"),
        ("events", json!(["a b"]), 422, "invalid-filter", "/events"),
        (
            "filter",
            json!({ "data": { "$like": 1 } }),
            422,
            "invalid-filter",
            "/filter",
        ),
    ]
}

#[tokio::test]
async fn a_wrong_field_is_named_before_anything_is_stored() {
    let server = start().await;
    let root = server.root();
    for (field, value, status, code, pointer) in wrong_definitions() {
        let mut body = json!({ "url": "http://127.0.0.1:1/", "events": ["*"] });
        body[field] = value;
        let answer = root.post("/api/v1/endpoints", &body).await;
        let problem = answer.is_problem(status, code);
        let named = &problem["errors"][0]["pointer"];
        assert_eq!(named.as_str().unwrap_or("none"), pointer, "{problem}");
    }
    let listed = root.get("/api/v1/endpoints").await.json();
    assert_eq!(listed["items"], json!([]));
}

#[tokio::test]
async fn a_wrong_query_or_path_is_refused() {
    let server = start().await;
    let root = server.root();
    for path in [
        "/api/v1/endpoints?limit=0",
        "/api/v1/endpoints?limit=201",
        "/api/v1/endpoints?tenat=a",
        "/api/v1/deliveries?state=lost",
        "/api/v1/deliveries?at_most=1",
        "/api/v1/deliveries?from=yesterday",
        "/api/v1/deliveries?status=600x",
        "/api/v1/deliveries?id=1",
        "/api/v1/deliveries?cursor=1",
        "/api/v1/dead-letters?state=ready",
        "/api/v1/dead-letters/groups?by=color",
        "/api/v1/stats?bucket=second",
    ] {
        root.get(path).await.is_problem(400, "malformed");
    }
    for path in [
        "/api/v1/endpoints/none",
        "/api/v1/deliveries/none",
        "/api/v1/events/none",
        "/api/v1/nothing",
        "/nothing",
    ] {
        root.get(path).await.is_problem(404, "not-found");
    }
}

#[tokio::test]
async fn a_request_of_a_wrong_kind_is_refused() {
    let server = start().await;
    let root = server.root();
    let typed = |path, body: String, media_type| {
        let request = root.request(Method::POST, path).body(body);
        answer(request.header("content-type", media_type))
    };
    let text = typed("/api/v1/events", "{}".into(), "text/plain").await;
    text.is_problem(415, "media-type");
    let json = "application/json";
    let large = typed("/api/v1/endpoints", "x".repeat(2 << 20), json).await;
    large.is_problem(413, "too-large");
    let half = typed("/api/v1/events", "{".into(), json).await;
    half.is_problem(400, "malformed");
    let patched = root.call(Method::PATCH, "/api/v1/me").await;
    patched.is_problem(405, "method-not-allowed");
}

#[tokio::test]
async fn what_was_got_can_be_put_and_keeps_its_credentials() {
    let server = start().await;
    let root = server.root();
    let made = root.endpoint("ep", "http://127.0.0.1:1/", None).await;
    let path = "/api/v1/endpoints/ep";
    let stored = async || server.system.get_endpoint("ep").await.unwrap().unwrap();
    let secret = stored().await.secret.clone();
    let mut shown = root.get(path).await.json();
    shown["description"] = json!("billing");
    let tag = ("if-match", made.header("etag"));
    let put = root.put(path, tag, &shown).await;
    assert_eq!(put.status, 200, "{}", put.text);
    assert_ne!(put.header("etag"), made.header("etag"));
    let now = stored().await;
    let (description, kept) = (now.description.as_str(), &now.secret);
    assert_eq!((description, kept), ("billing", &secret));

    let body = json!({ "metadata": { "team": "a" }, "headers": { "x-key": "k" } });
    let patched = root.patch(path, put.header("etag"), &body).await;
    assert_eq!(patched.status, 200, "{}", patched.text);
    let body = json!({ "metadata": { "team": null } });
    let patched = root.patch(path, patched.header("etag"), &body).await;
    let shown = patched.json();
    assert_eq!(shown["metadata"], json!({}));
    assert_eq!(shown["headers"], json!({ "x-key": { "keep": true } }));
    let now = stored().await;
    assert_eq!((&now.secret, now.headers["x-key"].as_str()), (&secret, "k"));
}

#[tokio::test]
async fn an_endpoint_gets_the_events_whose_content_passes() {
    let (server, receiver) = (start().await, receiver().await);
    let root = server.root();
    let filter = json!({ "data": { "total": { "$gte": 100 } } });
    let body = json!({ "id": "ep", "url": receiver.url(), "events": ["*"], "filter": filter });
    let made = root.post("/api/v1/endpoints", &body).await;
    assert_eq!((made.status, &made.json()["filter"]), (201, &filter));
    let send = async |total: u32| {
        let event = json!({ "type": "order.paid", "data": { "total": total } });
        let sent = root.post("/api/v1/events", &event).await.json();
        sent["deliveries"].as_array().unwrap().len()
    };
    assert_eq!((send(99).await, send(100).await), (0, 1));
    let patch = json!({ "filter": { "data": { "total": { "$gte": 10 } } } });
    let patched = root
        .patch("/api/v1/endpoints/ep", made.header("etag"), &patch)
        .await;
    assert_eq!(patched.status, 200, "{}", patched.text);
    assert_eq!(send(99).await, 1);
}

#[tokio::test]
async fn nobody_overwrites_what_they_have_not_seen() {
    let server = start().await;
    let root = server.root();
    let made = root.endpoint("ep", "http://127.0.0.1:1/", None).await;
    let path = "/api/v1/endpoints/ep";
    let first = made.header("etag");
    let off = json!({ "enabled": false });
    let second = root.patch(path, first, &off).await;
    assert_eq!(second.status, 200, "{}", second.text);
    let shown = root.get(path).await.json();
    let put = root.put(path, ("if-match", first), &shown).await;
    put.is_problem(412, "changed");
    let patched = root.patch(path, first, &off).await;
    patched.is_problem(412, "changed");
    let known = root.request(Method::GET, path);
    let known = answer(known.header("if-none-match", second.header("etag"))).await;
    assert_eq!(known.status, 304);
    let deleted = root.call(Method::DELETE, path).await;
    deleted.is_problem(428, "precondition-required");
    let deleted = root.request(Method::DELETE, path).header("if-match", "*");
    assert_eq!(answer(deleted).await.status, 204);
    root.get(path).await.is_problem(404, "not-found");
}

#[tokio::test]
async fn an_endpoint_is_made_by_put_where_there_is_none() {
    let server = start().await;
    let root = server.root();
    let (path, absent) = ("/api/v1/endpoints/new", ("if-none-match", "*"));
    let body = json!({ "url": "http://127.0.0.1:1/", "events": ["*"] });
    let mut other = body.clone();
    other["id"] = json!("other");
    let refused = root.put(path, absent, &other).await;
    refused.is_problem(422, "invalid-endpoint");
    let made = root.put(path, absent, &body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let again = root.put(path, absent, &body).await;
    again.is_problem(409, "exists");
}

/// Two deliveries that are dead, of an endpoint that takes the third.
async fn two_dead(root: &Caller) -> (Receiver, [String; 2]) {
    let receiver = Receiver::start(|_, number| match number {
        1 | 2 => Response::Body(500, "out of paper".into()),
        _ => Response::Status(200),
    })
    .await;
    root.endpoint("ep", &receiver.url(), None).await;
    let mut ids = [String::new(), String::new()];
    for id in &mut ids {
        let event = json!({ "type": "a.b", "data": 1 });
        let sent = root.post("/api/v1/events", &event).await.json();
        *id = sent["deliveries"][0].as_str().unwrap().to_owned();
        root.wait_for(id, "dead").await;
    }
    (receiver, ids)
}

#[tokio::test]
async fn dead_letters_are_listed_counted_and_grouped() {
    let server = start().await;
    let root = server.root();
    let (_receiver, ids) = two_dead(&root).await;
    let path = "/api/v1/dead-letters?endpoint_id=ep&failure=server_error&status=5xx";
    let listed = root.get(path).await.json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    assert_eq!(listed["items"][0]["id"], ids[1]);
    let response = &listed["items"][0]["attempts"][0]["response"];
    assert_eq!(response["text"], "out of paper");
    let path = "/api/v1/dead-letters/groups?by=endpoint_id,last_failure";
    let groups = root.get(path).await.json();
    assert_eq!(groups["groups"][0]["count"], 2);
    assert_eq!(groups["groups"][0]["key"]["last_failure"], "server_error");
    let path = "/api/v1/deliveries/count?state=dead&at_most=1";
    let count = root.get(path).await.json();
    assert_eq!(count, json!({ "count": 1, "capped": true }));
}

#[tokio::test]
async fn a_dead_letter_is_replayed_and_another_dropped() {
    let server = start().await;
    let root = server.root();
    let (receiver, [first, second]) = two_dead(&root).await;
    let nothing = json!({});
    let path = format!("/api/v1/dead-letters/{first}/replay");
    let replayed = root.post(&path, &nothing).await;
    assert_eq!(replayed.status, 202, "{}", replayed.text);
    root.wait_for(&first, "delivered").await;
    let path = format!("/api/v1/dead-letters/{second}");
    assert_eq!(root.call(Method::DELETE, &path).await.status, 204);
    root.get(&path).await.is_problem(404, "not-found");
    let cancel = format!("/api/v1/deliveries/{first}/cancel");
    root.post(&cancel, &nothing)
        .await
        .is_problem(409, "wrong-state");
    let path = format!("/api/v1/deliveries/{first}/resend");
    let resent = root.post(&path, &nothing).await;
    assert_eq!(resent.status, 202, "{}", resent.text);
    expect(&receiver, 4).await;
    let audit = root.get("/api/v1/audit").await.json();
    let entries = audit["items"].as_array().unwrap().iter();
    let mut actions: Vec<_> = entries
        .map(|entry| entry["action"].as_str().unwrap())
        .collect();
    // Those of one millisecond have no order.
    actions.sort_unstable();
    let expected = [
        "dead_letter_purge",
        "dead_letter_replay",
        "delivery_cancel",
        "delivery_resend",
        "endpoint_create",
    ];
    assert_eq!(actions, expected);
}

#[tokio::test]
async fn pages_go_through_everything_once() {
    let server = start().await;
    let root = server.root();
    for number in 0..5 {
        root.endpoint(&format!("ep_{number}"), "http://127.0.0.1:1/", None)
            .await;
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = root
            .get(&format!("/api/v1/endpoints?limit=2{cursor}"))
            .await;
        let body = page.json();
        for item in body["items"].as_array().unwrap() {
            seen.push(item["id"].as_str().unwrap().to_owned());
        }
        let Some(next) = body["next"].as_str() else {
            break;
        };
        let link = format!("<?limit=2&cursor={next}>; rel=\"next\"");
        assert_eq!(page.header("link"), link);
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, ["ep_0", "ep_1", "ep_2", "ep_3", "ep_4"]);
    let other = root
        .get(&format!("/api/v1/endpoints?limit=2&q=a{cursor}"))
        .await;
    other.is_problem(400, "cursor-mismatch");
}

#[tokio::test]
async fn an_endpoint_is_tested_paused_and_given_another_secret() {
    let (server, receiver) = (start().await, receiver().await);
    let root = server.root();
    root.endpoint("ep", &receiver.url(), None).await;
    let test = root
        .post("/api/v1/endpoints/ep/test", &json!({}))
        .await
        .json();
    assert_eq!(
        (&test["delivered"], &test["status"]),
        (&json!(true), &json!(200))
    );
    assert!(expect(&receiver, 1).await[0].body.starts_with(b"{"));
    let paused = root.call(Method::POST, "/api/v1/endpoints/ep/pause").await;
    assert_eq!(paused.json()["gate"]["state"], "paused");
    let resumed = root.call(Method::POST, "/api/v1/endpoints/ep/resume").await;
    assert_eq!(resumed.json()["gate"]["state"], "open");
    let disabled = root
        .call(Method::POST, "/api/v1/endpoints/ep/disable")
        .await;
    assert_eq!(disabled.json()["gate"]["state"], "disabled");
    let enabled = root.call(Method::POST, "/api/v1/endpoints/ep/enable").await;
    assert_eq!(enabled.json()["gate"]["state"], "open");
    let rotated = root
        .call(Method::POST, "/api/v1/endpoints/ep/secret/rotate")
        .await
        .json();
    assert!(rotated["secret"].as_str().unwrap().starts_with("whsec_"));
    assert_eq!(rotated["previous"].as_array().unwrap().len(), 1);
    let long = root
        .post(
            "/api/v1/endpoints/ep/secret/rotate",
            &json!({ "overlap_seconds": 700_000 }),
        )
        .await;
    long.is_problem(422, "invalid-endpoint");
    let metrics = root.get("/api/v1/endpoints/ep/metrics").await.json();
    assert_eq!(metrics["circuit"], "closed");
    let stats = root
        .get("/api/v1/stats?bucket=minute&group_by=endpoint_id")
        .await
        .json();
    assert_eq!(stats["bucket_seconds"], 60);
    assert_eq!(root.get("/livez").await.status, 200);
    assert_eq!(root.get("/readyz").await.json()["storage"], true);
}

#[tokio::test]
async fn the_api_answers_under_any_prefix() {
    let system = better_auth_webhooks::WebhookSystem::new(
        better_auth_webhooks::storage::MemoryStorage::new(),
    );
    let server = webhooks_server::Server::builder(system)
        .root_key(support::ROOT)
        .build()
        .unwrap();
    let app = axum::Router::new().nest_service("/a/b", server.into_router());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/a/b/api/v1/me", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let me = answer(
        webhooks_tests::http_client()
            .get(url)
            .bearer_auth(support::ROOT),
    )
    .await;
    assert_eq!(me.json()["actor"], "root");
    let short = webhooks_server::Server::builder(start().await.system)
        .root_key("short")
        .build();
    assert!(
        short
            .unwrap_err()
            .to_string()
            .contains("root_key has 5 bytes, it needs 32 or more")
    );
}

#[tokio::test]
async fn the_document_is_the_one_in_docs() {
    let server = start_with(better_auth_webhooks::WebhookSystem::builder()).await;
    let served = server
        .with_key(None)
        .get("/api/v1/openapi.json")
        .await
        .json();
    assert_eq!(served["openapi"], "3.1.0");
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    let pretty = serde_json::to_string_pretty(&served).unwrap() + "\n";
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(file, &pretty).unwrap();
    }
    let kept = std::fs::read_to_string(file).unwrap_or_default();
    assert!(
        kept == pretty,
        "docs/openapi.json is another one: run the test with BLESS=1"
    );
}
