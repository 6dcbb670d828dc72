//! Who may do what, over real sockets.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed expectation here is a failed test"
)]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use better_auth_webhooks::storage::MemoryStorage;
use better_auth_webhooks::{RateLimitConfig, WebhookSystem};
use reqwest::Method;
use serde_json::{Value, json};
use support::{Caller, ROOT, Running, answer, expect, receiver, serve, start};
use webhooks_server::{Authenticate, Problem, Role, Scope, Scopes, Server};

/// Every route with the scope that it needs; `None` where any caller will do. A tenant's caller can
/// use those that say so.
const ROUTES: &[(&str, &str, Option<Scope>, bool)] = &[
    ("get", "/me", None, true),
    ("post", "/session", None, true),
    ("delete", "/session", None, true),
    ("get", "/info", Some(Scope::MetricsRead), true),
    ("post", "/events", Some(Scope::EventsSend), true),
    ("post", "/events/batch", Some(Scope::EventsSend), true),
    ("get", "/events", Some(Scope::EventsRead), true),
    ("get", "/events/{id}", Some(Scope::EventsRead), true),
    (
        "get",
        "/events/{id}/payload",
        Some(Scope::PayloadsRead),
        true,
    ),
    (
        "delete",
        "/events/{id}/payload",
        Some(Scope::DeliveriesPurge),
        false,
    ),
    (
        "post",
        "/events/{id}/deliveries",
        Some(Scope::DeliveriesWrite),
        true,
    ),
    ("get", "/endpoints", Some(Scope::EndpointsRead), true),
    ("post", "/endpoints", Some(Scope::EndpointsWrite), true),
    ("get", "/endpoints/{id}", Some(Scope::EndpointsRead), true),
    ("put", "/endpoints/{id}", Some(Scope::EndpointsWrite), true),
    (
        "patch",
        "/endpoints/{id}",
        Some(Scope::EndpointsWrite),
        true,
    ),
    (
        "delete",
        "/endpoints/{id}",
        Some(Scope::EndpointsWrite),
        true,
    ),
    (
        "post",
        "/endpoints/{id}/pause",
        Some(Scope::EndpointsWrite),
        true,
    ),
    (
        "post",
        "/endpoints/{id}/resume",
        Some(Scope::EndpointsWrite),
        true,
    ),
    (
        "post",
        "/endpoints/{id}/enable",
        Some(Scope::EndpointsWrite),
        true,
    ),
    (
        "post",
        "/endpoints/{id}/disable",
        Some(Scope::EndpointsWrite),
        true,
    ),
    (
        "post",
        "/endpoints/{id}/verify",
        Some(Scope::EndpointsWrite),
        true,
    ),
    (
        "post",
        "/endpoints/{id}/test",
        Some(Scope::EndpointsWrite),
        true,
    ),
    (
        "post",
        "/endpoints/{id}/secret/rotate",
        Some(Scope::EndpointsSecrets),
        true,
    ),
    (
        "get",
        "/endpoints/{id}/secret",
        Some(Scope::EndpointsSecrets),
        true,
    ),
    (
        "get",
        "/endpoints/{id}/metrics",
        Some(Scope::MetricsRead),
        true,
    ),
    ("get", "/deliveries", Some(Scope::DeliveriesRead), true),
    (
        "get",
        "/deliveries/count",
        Some(Scope::DeliveriesRead),
        true,
    ),
    (
        "get",
        "/deliveries/export",
        Some(Scope::DeliveriesRead),
        true,
    ),
    ("get", "/deliveries/{id}", Some(Scope::DeliveriesRead), true),
    (
        "get",
        "/deliveries/{id}/attempts",
        Some(Scope::DeliveriesRead),
        true,
    ),
    (
        "post",
        "/deliveries/{id}/cancel",
        Some(Scope::DeliveriesWrite),
        true,
    ),
    (
        "post",
        "/deliveries/{id}/resend",
        Some(Scope::DeliveriesWrite),
        true,
    ),
    ("get", "/dead-letters", Some(Scope::DeliveriesRead), true),
    (
        "get",
        "/dead-letters/groups",
        Some(Scope::DeliveriesRead),
        true,
    ),
    (
        "get",
        "/dead-letters/{id}",
        Some(Scope::DeliveriesRead),
        true,
    ),
    (
        "post",
        "/dead-letters/{id}/replay",
        Some(Scope::DeliveriesWrite),
        true,
    ),
    (
        "delete",
        "/dead-letters/{id}",
        Some(Scope::DeliveriesPurge),
        false,
    ),
    ("get", "/metrics", Some(Scope::MetricsRead), false),
    ("get", "/stats", Some(Scope::MetricsRead), true),
    ("get", "/stream", Some(Scope::DeliveriesRead), true),
    ("get", "/workers", Some(Scope::MetricsRead), false),
    ("get", "/jobs", Some(Scope::DeliveriesRead), true),
    ("post", "/jobs", Some(Scope::DeliveriesWrite), true),
    ("get", "/jobs/{id}", Some(Scope::DeliveriesRead), true),
    (
        "post",
        "/jobs/{id}/stop",
        Some(Scope::DeliveriesWrite),
        true,
    ),
    ("get", "/event-types", Some(Scope::EventTypesRead), true),
    (
        "post",
        "/event-types/import",
        Some(Scope::EventTypesWrite),
        false,
    ),
    (
        "get",
        "/event-types/export",
        Some(Scope::EventTypesRead),
        true,
    ),
    (
        "get",
        "/event-types/{name}",
        Some(Scope::EventTypesRead),
        true,
    ),
    (
        "put",
        "/event-types/{name}",
        Some(Scope::EventTypesWrite),
        false,
    ),
    (
        "delete",
        "/event-types/{name}",
        Some(Scope::EventTypesWrite),
        false,
    ),
    ("get", "/tenants", Some(Scope::EndpointsRead), false),
    (
        "post",
        "/tenants/{tenant}/tokens",
        Some(Scope::PortalIssue),
        false,
    ),
    (
        "post",
        "/tenants/{tenant}/revoke",
        Some(Scope::PortalIssue),
        false,
    ),
    ("get", "/api-keys", Some(Scope::KeysAdmin), false),
    ("post", "/api-keys", Some(Scope::KeysAdmin), false),
    ("get", "/api-keys/{id}", Some(Scope::KeysAdmin), false),
    ("patch", "/api-keys/{id}", Some(Scope::KeysAdmin), false),
    ("delete", "/api-keys/{id}", Some(Scope::KeysAdmin), false),
    (
        "post",
        "/api-keys/{id}/rotate",
        Some(Scope::KeysAdmin),
        false,
    ),
    ("get", "/audit", Some(Scope::AuditRead), false),
    ("get", "/doctor", Some(Scope::MetricsRead), false),
    ("post", "/reencrypt", Some(Scope::Admin), false),
];

/// Things of a tenant; their text is nowhere else.
struct Things {
    endpoint: String,
    event: String,
    delivery: String,
}

/// Makes an endpoint of this tenant, and sends it an event.
async fn things(server: &Running, tenant: &str, url: &str) -> Things {
    let root = server.root();
    let endpoint = format!("{tenant}-endpoint");
    root.endpoint(&endpoint, &format!("{url}?{tenant}-key"), Some(tenant))
        .await;
    let event = json!({ "type": "a.b", "tenant": tenant, "data": format!("{tenant}-data") });
    let sent = root.post("/api/v1/events", &event).await.json();
    let delivery = sent["deliveries"][0].as_str().unwrap().to_owned();
    root.wait_for(&delivery, "delivered").await;
    Things {
        endpoint,
        event: sent["id"].as_str().unwrap().to_owned(),
        delivery,
    }
}

impl Things {
    /// A route with the id of one of these things in it.
    fn path(&self, route: &str) -> String {
        let id = match route.split('/').nth(1).unwrap() {
            "events" => &self.event,
            "endpoints" => &self.endpoint,
            "deliveries" | "dead-letters" => &self.delivery,
            _ => "abcdefgh",
        };
        let path = route.replace("{name}", "a.b").replace("{tenant}", "b");
        format!("/api/v1{}", path.replace("{id}", id))
    }
}

/// A body that the route can read.
fn body(route: &str) -> Option<Value> {
    let endpoint = json!({ "url": "http://127.0.0.1:1/", "events": ["*"] });
    match route {
        "/events" => Some(json!({ "type": "a.b" })),
        "/events/batch" => Some(json!({ "events": [{ "type": "a.b" }] })),
        "/events/{id}/deliveries" => Some(json!({ "endpoint_id": "b-endpoint" })),
        "/jobs" => Some(json!({ "action": "cancel", "all": true, "dry_run": true })),
        "/endpoints" | "/endpoints/{id}" => Some(endpoint),
        "/api-keys" => Some(json!({ "name": "k", "scopes": [] })),
        "/event-types/import" => Some(json!({ "a.b": {} })),
        "/event-types/{name}" => Some(json!({})),
        "/tenants/{tenant}/tokens" => Some(json!({ "scopes": [] })),
        "/api-keys/{id}" => Some(json!({})),
        _ => None,
    }
}

async fn call(caller: &Caller, method: &str, route: &str, path: &str) -> support::Answer {
    let method: Method = method.to_uppercase().parse().unwrap();
    let request = caller.request(method.clone(), path).header("if-match", "*");
    let request = match body(route) {
        Some(_) if method == Method::PATCH => request.json(&json!({})),
        Some(body) if method != Method::GET && method != Method::DELETE => request.json(&body),
        _ => request,
    };
    match route {
        "/stream" => beginning(request).await,
        _ => answer(request).await,
    }
}

/// What comes at the beginning of an answer that goes on for ever, or of one that is refused.
async fn beginning(request: reqwest::RequestBuilder) -> support::Answer {
    let mut response = request.send().await.unwrap();
    let chunk = response.chunk().await.unwrap().unwrap();
    support::Answer {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        text: String::from_utf8(chunk.to_vec()).unwrap(),
    }
}

#[tokio::test]
async fn every_route_needs_its_scope_and_no_other() {
    let (server, receiver) = (start().await, receiver().await);
    let document = server
        .with_key(None)
        .get("/api/v1/openapi.json")
        .await
        .json();
    let mut routes = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            routes.insert((
                method.clone(),
                path.trim_start_matches("/api/v1").to_owned(),
            ));
        }
    }
    routes.remove(&("get".to_owned(), "/openapi.json".to_owned()));
    let rows = ROUTES
        .iter()
        .map(|(method, path, ..)| ((*method).to_owned(), (*path).to_owned()));
    assert_eq!(
        routes,
        rows.collect::<BTreeSet<_>>(),
        "each route has a row"
    );

    let things = things(&server, "b", &receiver.url()).await;
    let nobody = server.with_key(None);
    for (method, route, scope, _) in ROUTES {
        let path = things.path(route);
        let refused = call(&nobody, method, route, &path).await;
        refused.is_problem(401, "unauthorized");
        assert_eq!(refused.header("www-authenticate"), "Bearer");
        let Some(scope) = scope else {
            continue;
        };
        let others: Vec<_> = Scope::all().filter(|other| other != scope).collect();
        let others = server.caller(&others, None).await;
        let problem = call(&others, method, route, &path)
            .await
            .is_problem(403, "scope-missing");
        assert!(
            problem["detail"]
                .as_str()
                .unwrap()
                .ends_with(scope.as_str()),
            "{problem}"
        );
        let alone = server.caller(&[*scope], None).await;
        let allowed = call(&alone, method, route, &path).await;
        let is_refused = allowed.status == 401 || allowed.text.contains("scope-missing");
        assert!(!is_refused, "{method} {route}: {}", allowed.text);
        assert!(allowed.status < 500, "{method} {route}: {}", allowed.text);
    }
}

#[tokio::test]
async fn a_tenant_never_sees_a_byte_of_another() {
    let (server, receiver) = (start().await, receiver().await);
    let theirs = things(&server, "b", &receiver.url()).await;
    let own = things(&server, "a", &receiver.url()).await;
    let scopes = Vec::from(Scopes::of_tenants());
    let caller = server.caller(&scopes, Some("a")).await;
    let markers = [
        &theirs.endpoint,
        &theirs.event,
        &theirs.delivery,
        "b-key",
        "b-data",
    ];
    let clean = |text: &str, what: &str| {
        for marker in markers {
            assert!(!text.contains(marker), "{what}: {text}");
        }
    };
    for (method, route, _, of_tenants) in ROUTES {
        let answer = call(&caller, method, route, &theirs.path(route)).await;
        if !of_tenants {
            assert!(
                [403, 404].contains(&answer.status),
                "{method} {route}: {}",
                answer.text
            );
        } else if route.contains("{id}") {
            answer.is_problem(404, "not-found");
            continue;
        }
        clean(&answer.text, route);
    }
    // Their own they see.
    let seen = caller.get("/api/v1/deliveries").await;
    assert!(seen.text.contains(&own.delivery), "{}", seen.text);
    let path = format!("/api/v1/events/{}", own.event);
    assert_eq!(caller.get(&path).await.status, 200);
}

#[tokio::test]
async fn a_tenant_reaches_nothing_of_another_by_filters_or_by_sending() {
    let (server, receiver) = (start().await, receiver().await);
    let theirs = things(&server, "b", &receiver.url()).await;
    let own = things(&server, "a", &receiver.url()).await;
    let caller = server
        .caller(&Vec::from(Scopes::of_tenants()), Some("a"))
        .await;
    for path in [
        format!("/api/v1/deliveries?endpoint_id={}", theirs.endpoint),
        format!("/api/v1/deliveries?event_id={}", theirs.event),
        format!("/api/v1/deliveries?id={}", theirs.delivery),
        "/api/v1/deliveries?tenant=b".to_owned(),
        "/api/v1/events?tenant=b".to_owned(),
        "/api/v1/endpoints?tenant=b".to_owned(),
    ] {
        let listed = caller.get(&path).await;
        assert_eq!(listed.json()["items"], json!([]), "{path}");
    }
    let counted = caller.get("/api/v1/deliveries/count?tenant=b").await.json();
    assert_eq!(counted["count"], 0);
    let stats = format!("/api/v1/stats?endpoint_id={}", theirs.endpoint);
    assert_eq!(caller.get(&stats).await.json()["series"], json!([]));
    // Nor do they send to it, or give it their own.
    let event = json!({ "type": "a.b", "endpoint_id": theirs.endpoint });
    caller
        .post("/api/v1/events", &event)
        .await
        .is_problem(404, "not-found");
    let event = json!({ "type": "a.b", "tenant": "b" });
    caller
        .post("/api/v1/events", &event)
        .await
        .is_problem(422, "invalid-event");
    let deliver = json!({ "endpoint_id": theirs.endpoint });
    let path = format!("/api/v1/events/{}/deliveries", own.event);
    caller
        .post(&path, &deliver)
        .await
        .is_problem(404, "not-found");
    let body = json!({ "url": "http://127.0.0.1:1/", "events": ["*"], "tenant": "b" });
    caller
        .post("/api/v1/endpoints", &body)
        .await
        .is_problem(422, "invalid-endpoint");
}

#[tokio::test]
async fn a_secret_is_shown_once_and_nowhere_else() {
    let (server, receiver) = (start().await, receiver().await);
    let root = server.root();
    let body = json!({
        "id": "ep", "url": format!("{}?token=url-marker", receiver.url()), "events": ["*"],
        "secret": "secret-marker", "headers": { "x-key": "header-marker" },
    });
    let made = root.post("/api/v1/endpoints", &body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let mut texts = vec![made.text.clone()];
    let tag = made.header("etag").to_owned();
    texts.push(
        root.patch("/api/v1/endpoints/ep", &tag, &json!({ "description": "d" }))
            .await
            .text,
    );
    let rotated = json!({ "secret": "second-marker" });
    texts.push(
        root.post("/api/v1/endpoints/ep/secret/rotate", &rotated)
            .await
            .text,
    );
    texts.push(root.post("/api/v1/endpoints", &body).await.text);
    let mut bad = body.clone();
    bad["events"] = json!([]);
    bad["id"] = json!("other");
    texts.push(root.post("/api/v1/endpoints", &bad).await.text);
    let sent = root
        .post("/api/v1/events", &json!({ "type": "a.b", "data": 1 }))
        .await;
    expect(&receiver, 1).await;
    texts.push(sent.text);
    for (method, route, ..) in ROUTES.iter().filter(|(method, ..)| *method == "get") {
        let path = format!("/api/v1{}", route.replace("{id}", "ep"));
        texts.push(call(&root, method, route, &path).await.text);
    }
    for text in texts {
        for marker in ["secret-marker", "second-marker", "header-marker", ROOT] {
            assert!(!text.contains(marker), "{text}");
        }
    }
    // Credentials in a URL are for who may change it.
    let viewer = server.caller(&[Scope::EndpointsRead], None).await;
    let seen = viewer.get("/api/v1/endpoints/ep").await;
    assert!(
        !seen.text.contains("url-marker") && seen.text.contains("?…"),
        "{}",
        seen.text
    );
    assert!(
        root.get("/api/v1/endpoints/ep")
            .await
            .text
            .contains("url-marker")
    );
}

#[tokio::test]
async fn a_key_is_made_rotated_and_ended() {
    let server = start().await;
    let root = server.root();
    let body = json!({ "name": "ci", "role": "viewer" });
    let made = root.post("/api/v1/api-keys", &body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let (id, key) = (made.json()["id"].clone(), made.json()["key"].clone());
    let (id, key) = (id.as_str().unwrap(), key.as_str().unwrap());
    assert!(key.starts_with(&format!("whk_{id}_")));
    let caller = server.with_key(Some(key));
    let me = caller.get("/api/v1/me").await.json();
    assert_eq!(me["actor"], format!("key:{id}"));
    let path = format!("/api/v1/api-keys/{id}");
    let shown = root.get(&path).await;
    assert!(
        !shown.text.contains(key) && !shown.text.contains("hash"),
        "{}",
        shown.text
    );
    assert!(shown.json()["last_used_at"].is_string());

    let rotated = root
        .post(&format!("{path}/rotate"), &json!({ "overlap_seconds": 60 }))
        .await;
    let second = rotated.json()["key"].as_str().unwrap().to_owned();
    for key in [key, &second] {
        assert_eq!(
            server.with_key(Some(key)).get("/api/v1/me").await.status,
            200
        );
    }
    let rotated = root.call(Method::POST, &format!("{path}/rotate")).await;
    let third = rotated.json()["key"].as_str().unwrap().to_owned();
    let me = server.with_key(Some(&third)).get("/api/v1/me").await;
    assert_eq!(me.status, 200);
    server
        .with_key(Some(key))
        .get("/api/v1/me")
        .await
        .is_problem(401, "unauthorized");
}

#[tokio::test]
async fn a_key_ends_when_it_expires_and_when_it_is_deleted() {
    let server = start().await;
    let root = server.root();
    let body = json!({ "name": "ci", "role": "viewer" });
    let made = root.post("/api/v1/api-keys", &body).await.json();
    let path = format!("/api/v1/api-keys/{}", made["id"].as_str().unwrap());
    let key = made["key"].as_str().unwrap();
    let patch = json!({ "name": "other", "expires_at": "2020-01-01T00:00:00Z" });
    let patched = answer(root.request(Method::PATCH, &path).json(&patch)).await;
    assert_eq!(patched.json()["name"], "other");
    server
        .with_key(Some(key))
        .get("/api/v1/me")
        .await
        .is_problem(401, "unauthorized");
    let patch = json!({ "expires_at": null });
    assert_eq!(
        answer(root.request(Method::PATCH, &path).json(&patch))
            .await
            .status,
        200
    );
    assert_eq!(
        server.with_key(Some(key)).get("/api/v1/me").await.status,
        200
    );
    assert_eq!(root.call(Method::DELETE, &path).await.status, 204);
    server
        .with_key(Some(key))
        .get("/api/v1/me")
        .await
        .is_problem(401, "unauthorized");
    root.get(&path).await.is_problem(404, "not-found");
}

#[tokio::test]
async fn nobody_gives_away_what_they_do_not_have() {
    let server = start().await;
    let caller = server
        .caller(&[Scope::KeysAdmin, Scope::EventsRead], None)
        .await;
    let more = json!({ "name": "more", "scopes": ["events:send"] });
    let refused = caller
        .post("/api/v1/api-keys", &more)
        .await
        .is_problem(422, "invalid-key");
    assert_eq!(refused["errors"][0]["pointer"], "/scopes");
    let same = json!({ "name": "same", "scopes": ["events:read"] });
    assert_eq!(caller.post("/api/v1/api-keys", &same).await.status, 201);
    let tenant = json!({ "name": "t", "scopes": ["events:read", "keys:admin"], "tenant": "a" });
    caller
        .post("/api/v1/api-keys", &tenant)
        .await
        .is_problem(422, "invalid-key");
    let unknown = json!({ "name": "t", "scopes": ["events:*"] });
    let refused = caller
        .post("/api/v1/api-keys", &unknown)
        .await
        .is_problem(400, "malformed");
    assert_eq!(refused["errors"][0]["pointer"], "/scopes/0");
    for body in [json!({ "name": "", "scopes": [] }), json!({ "name": "n" })] {
        caller
            .post("/api/v1/api-keys", &body)
            .await
            .is_problem(422, "invalid-key");
    }
    let elsewhere =
        json!({ "name": "e", "scopes": ["events:read"], "allowed_cidrs": ["10.0.0.0/8"] });
    let key = caller.post("/api/v1/api-keys", &elsewhere).await.json()["key"].clone();
    server
        .with_key(key.as_str())
        .get("/api/v1/me")
        .await
        .is_problem(401, "unauthorized");
}

#[tokio::test]
async fn who_guesses_keys_waits() {
    let server = start().await;
    let guess = format!("whk_abcdefgh_{}", "A".repeat(43));
    let stranger = server.with_key(Some(&guess));
    let known = server.caller(&[Scope::EventsRead], None).await;
    assert_eq!(known.get("/api/v1/me").await.status, 200);
    for _ in 0..5 {
        let started = tokio::time::Instant::now();
        stranger
            .get("/api/v1/me")
            .await
            .is_problem(401, "unauthorized");
        assert!(started.elapsed() >= Duration::from_millis(250));
    }
    let refused = stranger.get("/api/v1/me").await;
    refused.is_problem(429, "too-many-requests");
    assert!((1..=60).contains(&refused.header("retry-after").parse::<u64>().unwrap()));
    // Who is known goes on.
    assert_eq!(known.get("/api/v1/me").await.status, 200);
}

/// Knows who calls by a header.
#[derive(Debug)]
struct ByHeader;

#[async_trait::async_trait]
impl Authenticate for ByHeader {
    async fn caller(
        &self,
        parts: &http::request::Parts,
    ) -> Result<Option<webhooks_server::Caller>, Problem> {
        let user = parts
            .headers
            .get("x-user")
            .and_then(|user| user.to_str().ok());
        Ok(user.map(|user| webhooks_server::Caller::host(user, Role::Viewer.scopes())))
    }
}

#[tokio::test]
async fn a_host_tells_who_calls_and_each_caller_has_a_rate() {
    let system = WebhookSystem::new(MemoryStorage::new());
    let limit = RateLimitConfig {
        requests_per_second: 1,
        burst_size: 2,
    };
    let server = Server::builder(system)
        .authenticate(ByHeader)
        .rate_limit(limit);
    let url = serve(server.build().unwrap()).await;
    let client = webhooks_tests::http_client();
    let me = |user: &str| {
        client
            .get(format!("{url}/api/v1/me"))
            .header("x-user", user)
    };
    assert_eq!(answer(me("ann")).await.json()["actor"], "ann");
    assert_eq!(answer(me("ann")).await.status, 200);
    let refused = answer(me("ann")).await;
    let problem = refused.is_problem(429, "too-many-requests");
    assert!(
        problem["retry_after_ms"].as_u64().unwrap() <= 1_000,
        "{problem}"
    );
    assert_eq!(answer(me("bob")).await.status, 200);
    answer(client.get(format!("{url}/api/v1/me")))
        .await
        .is_problem(401, "unauthorized");
    answer(client.get(format!("{url}/api/v1/me")).bearer_auth("x"))
        .await
        .is_problem(401, "unauthorized");
    let admin = client
        .get(format!("{url}/api/v1/api-keys"))
        .header("x-user", "bob");
    answer(admin).await.is_problem(403, "scope-missing");
}
