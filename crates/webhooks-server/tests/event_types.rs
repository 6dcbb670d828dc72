//! The catalogue of event types, over real sockets.
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
use support::{Caller, answer, expect, receiver, start};
use webhooks_server::Scope;

const TYPE: &str = "/api/v1/event-types/user.created";

async fn define(caller: &Caller, path: &str, body: &Value) -> support::Answer {
    caller.put(path, ("if-none-match", "*"), body).await
}

fn user() -> Value {
    json!({
        "title": "A user signed up", "group": "users",
        "schema": { "type": "object", "required": ["id"], "properties": { "id": { "type": "string" } } },
        "examples": [{ "id": "example-1" }],
    })
}

#[tokio::test]
async fn nobody_overwrites_a_type_that_they_have_not_seen() {
    let root = start().await.root();
    let made = define(&root, TYPE, &user()).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let again = define(&root, TYPE, &user()).await;
    again.is_problem(409, "exists");
    let shown = root.get(TYPE).await;
    assert_eq!(shown.json(), made.json());
    // What was got can be put.
    let tag = shown.header("etag").to_owned();
    let put = root.put(TYPE, ("if-match", &tag), &shown.json()).await;
    assert_eq!(put.status, 200, "{}", put.text);
    let late = root.put(TYPE, ("if-match", &tag), &user()).await;
    late.is_problem(412, "changed");
    let request = root.request(Method::GET, TYPE);
    let request = request.header("if-none-match", put.header("etag"));
    assert_eq!(answer(request).await.status, 304);
    let blind = root.request(Method::PUT, TYPE).json(&user());
    answer(blind).await.is_problem(428, "precondition-required");

    // It is offered no more, and can be dropped.
    let gone = root.request(Method::DELETE, TYPE).header("if-match", "*");
    assert_eq!(answer(gone).await.status, 204);
    let listed = root.get("/api/v1/event-types").await.json();
    assert_eq!(listed["items"], json!([]));
    let archived = root.get("/api/v1/event-types?archived=true").await.json();
    assert_eq!(archived["items"][0]["name"], "user.created");
    let path = format!("{TYPE}?purge=true");
    let purged = root.request(Method::DELETE, &path).header("if-match", "*");
    assert_eq!(answer(purged).await.status, 204);
    root.get(TYPE).await.is_problem(404, "not-found");
}

#[tokio::test]
async fn what_is_wrong_with_a_definition_is_named() {
    let root = start().await.root();
    let long = "x".repeat(257);
    for (body, place) in [
        (json!({ "schema": { "type": "strnig" } }), "/schema"),
        (json!({ "schema": 5 }), "/schema"),
        (
            json!({ "schema": { "$ref": "https://example.com/s" } }),
            "/schema",
        ),
        (
            json!({ "schema": { "type": "string" }, "examples": ["a", 1] }),
            "/examples/1",
        ),
        (json!({ "validate": "reject" }), "/validate"),
        (json!({ "title": long }), "/title"),
        (json!({ "group": "a\u{7}" }), "/group"),
        (json!({ "examples": vec![0; 17] }), "/examples"),
    ] {
        let refused = define(&root, TYPE, &body).await;
        let problem = refused.is_problem(422, "invalid-event-type");
        assert_eq!(problem["errors"][0]["pointer"], place, "{problem}");
    }
    let name = "/api/v1/event-types/user..created";
    define(&root, name, &json!({}))
        .await
        .is_problem(422, "invalid-event-type");
    for (body, place) in [
        (json!({ "visible_to": 7 }), "/visible_to"),
        (json!({ "vaildate": "off" }), "/vaildate"),
    ] {
        let problem = define(&root, TYPE, &body)
            .await
            .is_problem(400, "malformed");
        assert_eq!(problem["errors"][0]["pointer"], place, "{problem}");
    }
    root.get(TYPE).await.is_problem(404, "not-found");
}

#[cfg(feature = "schemas")]
#[tokio::test]
async fn an_event_that_does_not_follow_its_schema_is_refused_or_told() {
    let (server, receiver) = (start().await, receiver().await);
    let root = server.root();
    root.endpoint("ep", &receiver.url(), None).await;
    let mut definition = user();
    definition["validate"] = json!("reject");
    define(&root, TYPE, &definition).await;
    let bad = json!({ "type": "user.created", "data": { "id": 12345 } });
    let refused = root.post("/api/v1/events", &bad).await;
    let problem = refused.is_problem(422, "invalid-data");
    assert_eq!(problem["errors"][0]["pointer"], "/data/id", "{problem}");
    assert!(
        !refused.text.contains("12345"),
        "data is not told: {}",
        refused.text
    );
    // Of a batch, it alone.
    let good = json!({ "type": "user.created", "data": { "id": "1" } });
    let batch = json!({ "events": [bad, good, { "type": "other", "data": 5 }] });
    let sent = root.post("/api/v1/events/batch", &batch).await.json();
    assert_eq!(sent["results"][0]["problem"]["code"], "invalid-data");
    assert!(sent["results"][1]["id"].is_string() && sent["results"][2]["id"].is_string());
    expect(&receiver, 2).await;

    definition["validate"] = json!("warn");
    let put = root.put(TYPE, ("if-match", "*"), &definition).await;
    assert_eq!(put.status, 200, "{}", put.text);
    let warned = root.post("/api/v1/events", &bad).await;
    assert_eq!(warned.status, 202, "{}", warned.text);
    let warning = warned.json()["warnings"][0].as_str().unwrap().to_owned();
    assert!(warning.starts_with("/id: "), "{warning}");
    expect(&receiver, 3).await;
}

#[tokio::test]
async fn a_tenant_sees_the_types_that_are_for_it() {
    let server = start().await;
    let root = server.root();
    for (name, visible_to) in [
        ("for.all", json!("all")),
        ("for.a", json!(["a"])),
        ("for.b", json!(["b", "c-secret"])),
    ] {
        let path = format!("/api/v1/event-types/{name}");
        let made = define(&root, &path, &json!({ "visible_to": visible_to })).await;
        assert_eq!(made.status, 201, "{}", made.text);
    }
    let tenant = server.caller(&[Scope::EventTypesRead], Some("b")).await;
    let listed = tenant.get("/api/v1/event-types").await;
    let names = listed.json()["items"].as_array().unwrap().clone();
    let names: Vec<_> = names.iter().map(|of| of["name"].clone()).collect();
    assert_eq!(names, [json!("for.all"), json!("for.b")]);
    assert!(!listed.text.contains("c-secret"), "{}", listed.text);
    let path = "/api/v1/event-types/for.a";
    tenant.get(path).await.is_problem(404, "not-found");
    let exported = tenant.get("/api/v1/event-types/export").await.json();
    let webhooks = exported["webhooks"].as_object().unwrap();
    assert_eq!(webhooks.keys().collect::<Vec<_>>(), ["for.all", "for.b"]);
}

#[tokio::test]
async fn a_catalogue_is_carried_to_another_server() {
    let (here, there) = (start().await.root(), start().await.root());
    define(&here, TYPE, &user()).await;
    define(&here, "/api/v1/event-types/a.b", &json!({})).await;
    let document = here.get("/api/v1/event-types/export").await.json();
    let import = "/api/v1/event-types/import";
    let dry = there
        .post(&format!("{import}?dry_run=true"), &document)
        .await
        .json();
    assert_eq!(dry["created"], json!(["a.b", "user.created"]));
    there.get(TYPE).await.is_problem(404, "not-found");
    let done = there.post(import, &document).await.json();
    assert_eq!(done, dry);
    let again = there.post(import, &document).await.json();
    assert_eq!(again["same"], json!(["a.b", "user.created"]));
    let (mut was, mut is) = (here.get(TYPE).await.json(), there.get(TYPE).await.json());
    for of in [&mut was, &mut is] {
        for field in ["created_at", "updated_at", "revision"] {
            of.as_object_mut().unwrap().remove(field);
        }
    }
    assert_eq!(is, was);

    // One bad type, and nothing of the document is kept.
    let schemas = json!({ "c.d": {}, "e.f": { "type": "strnig" } });
    let refused = there.post(import, &schemas).await;
    let problem = refused.is_problem(422, "invalid-event-type");
    assert_eq!(problem["errors"][0]["pointer"], "/e.f", "{problem}");
    let path = "/api/v1/event-types/c.d";
    there.get(path).await.is_problem(404, "not-found");
}

#[tokio::test]
async fn a_test_says_the_first_example_of_its_type() {
    let (server, receiver) = (start().await, receiver().await);
    let root = server.root();
    root.endpoint("ep", &receiver.url(), None).await;
    define(&root, TYPE, &user()).await;
    let body = json!({ "type": "user.created" });
    let tested = root.post("/api/v1/endpoints/ep/test", &body).await;
    assert_eq!(tested.json()["delivered"], true, "{}", tested.text);
    let received = expect(&receiver, 1).await.remove(0);
    let received: Value = serde_json::from_slice(&received.body).unwrap();
    assert_eq!(received["data"], json!({ "id": "example-1" }));
}
