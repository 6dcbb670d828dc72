//! Tokens of tenants, sessions of browsers, and what is done once, over real sockets.
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
use support::{Answer, Caller, ROOT, Running, answer, receiver, start};
use webhooks_server::Scope;

/// A caller with a token of this tenant.
async fn token(server: &Running, tenant: &str, scopes: &[&str]) -> (Caller, String) {
    let path = format!("/api/v1/tenants/{tenant}/tokens");
    let made = server
        .root()
        .post(&path, &json!({ "scopes": scopes }))
        .await;
    assert_eq!(made.status, 201, "{}", made.text);
    let token = made.json()["token"].as_str().unwrap().to_owned();
    (server.with_key(Some(&token)), token)
}

#[tokio::test]
async fn a_token_opens_what_is_of_its_tenant_until_it_is_revoked() {
    let (server, receiver) = (start().await, receiver().await);
    let root = server.root();
    root.endpoint("of-a", &receiver.url(), Some("a")).await;
    root.endpoint("of-b", &receiver.url(), Some("b")).await;
    let (a, text) = token(&server, "a", &["endpoints:read"]).await;
    let (b, _) = token(&server, "b", &["endpoints:read"]).await;
    let me = a.get("/api/v1/me").await.json();
    assert_eq!(
        (&me["tenant"], &me["scopes"]),
        (&json!("a"), &json!(["endpoints:read"]))
    );
    let listed = a.get("/api/v1/endpoints").await;
    assert!(listed.text.contains("of-a") && !listed.text.contains("of-b"));
    a.get("/api/v1/deliveries")
        .await
        .is_problem(403, "scope-missing");

    // Another's payload under its signature, and its own with one character changed.
    let mut parts = text.split('.').map(str::to_owned).collect::<Vec<_>>();
    parts[1].insert(5, 'A');
    let forged = server.with_key(Some(&parts.join(".")));
    forged
        .get("/api/v1/endpoints")
        .await
        .is_problem(401, "unauthorized");

    let revoked = root.post("/api/v1/tenants/a/revoke", &json!({})).await;
    assert_eq!(revoked.status, 204, "{}", revoked.text);
    // However often its pages ask, nobody else is kept out for it.
    for _ in 0..7 {
        a.get("/api/v1/me").await.is_problem(401, "unauthorized");
    }
    assert_eq!(b.get("/api/v1/me").await.status, 200);
    let new = server.caller(&[Scope::EventsRead], None).await;
    assert_eq!(new.get("/api/v1/events").await.status, 200);
    let (again, _) = token(&server, "a", &["endpoints:read"]).await;
    assert_eq!(again.get("/api/v1/me").await.status, 200);
}

#[tokio::test]
async fn nobody_gives_a_tenant_more_than_they_have() {
    let server = start().await;
    let path = "/api/v1/tenants/a/tokens";
    for (body, place) in [
        (json!({ "scopes": ["admin"] }), "/scopes"),
        (
            json!({ "scopes": [], "expires_in_seconds": 0 }),
            "/expires_in_seconds",
        ),
        (
            json!({ "scopes": [], "expires_in_seconds": 3601 }),
            "/expires_in_seconds",
        ),
    ] {
        let refused = server.root().post(path, &body).await;
        let problem = refused.is_problem(422, "invalid-token");
        assert_eq!(problem["errors"][0]["pointer"], place);
    }
    let issuer = server
        .caller(&[Scope::PortalIssue, Scope::EventsRead], None)
        .await;
    let more = json!({ "scopes": ["events:read", "payloads:read"] });
    issuer
        .post(path, &more)
        .await
        .is_problem(422, "invalid-token");
    let same = json!({ "scopes": ["events:read"] });
    assert_eq!(issuer.post(path, &same).await.status, 201);
}

#[tokio::test]
async fn tenants_are_listed_with_what_they_have() {
    let (server, receiver) = (start().await, receiver().await);
    let root = server.root();
    for (id, tenant) in [
        ("1", Some("b")),
        ("2", Some("b")),
        ("3", Some("a")),
        ("4", None),
    ] {
        root.endpoint(id, &receiver.url(), tenant).await;
    }
    let event = json!({ "type": "a.b", "tenant": "b", "endpoint_id": "1" });
    let sent = root.post("/api/v1/events", &event).await.json();
    root.wait_for(sent["deliveries"][0].as_str().unwrap(), "delivered")
        .await;
    let first = root.get("/api/v1/tenants?limit=1").await.json();
    assert_eq!(first["items"][0]["tenant"], "a");
    let next = format!(
        "/api/v1/tenants?limit=1&cursor={}",
        first["next"].as_str().unwrap()
    );
    let second = root.get(&next).await.json();
    let expected =
        json!({ "tenant": "b", "endpoints": 2, "waiting": 0, "delivered": 1, "dead": 0 });
    assert_eq!(
        (&second["items"][0], &second["next"]),
        (&expected, &Value::Null)
    );
}

/// A request of a browser with this cookie.
async fn browse(server: &Running, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = server.with_key(None).request(method, path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    answer(request).await
}

#[tokio::test]
async fn a_session_stands_for_its_key_until_either_ends() {
    let server = start().await;
    let key = json!({ "name": "browser", "role": "operator" });
    let key = server.root().post("/api/v1/api-keys", &key).await.json();
    let shown = server.with_key(key["key"].as_str());
    let begun = shown.call(Method::POST, "/api/v1/session").await;
    assert_eq!(begun.status, 201, "{}", begun.text);
    let set = begun.header("set-cookie").to_owned();
    for attribute in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=86400"] {
        assert!(set.contains(attribute), "{set}");
    }
    let cookie = set.split(';').next().unwrap().to_owned();
    assert!(cookie.starts_with("webhooks="), "over loopback: {cookie}");
    let me = browse(&server, Method::GET, "/api/v1/me", &[("cookie", &cookie)]).await;
    assert_eq!(
        me.json()["actor"],
        format!("key:{}", key["id"].as_str().unwrap())
    );

    // Another host of the same domain could have set the plain cookie.
    let far = [("cookie", cookie.as_str()), ("host", "hooks.example.com")];
    let planted = browse(&server, Method::GET, "/api/v1/me", &far).await;
    planted.is_problem(401, "unauthorized");

    let path = format!("/api/v1/api-keys/{}", key["id"].as_str().unwrap());
    assert_eq!(server.root().call(Method::DELETE, &path).await.status, 204);
    let ended = browse(&server, Method::GET, "/api/v1/me", &[("cookie", &cookie)]).await;
    ended.is_problem(401, "unauthorized");

    // One of the root key, which is ended by hand.
    let begun = server.root().call(Method::POST, "/api/v1/session").await;
    let cookie = begun
        .header("set-cookie")
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    let own = [
        ("cookie", cookie.as_str()),
        ("sec-fetch-site", "same-origin"),
    ];
    let ended = browse(&server, Method::DELETE, "/api/v1/session", &own).await;
    assert_eq!(ended.status, 204, "{}", ended.text);
    assert!(ended.header("set-cookie").contains("Max-Age=0"));
    let me = browse(&server, Method::GET, "/api/v1/me", &own).await;
    me.is_problem(401, "unauthorized");
    // Elsewhere than on the machine itself it is for TLS alone.
    let request = server.root().request(Method::POST, "/api/v1/session");
    let far = answer(request.header("host", "hooks.example.com")).await;
    let set = far.header("set-cookie");
    assert!(
        set.starts_with("__Host-webhooks=") && set.ends_with("; Secure"),
        "{set}"
    );
    assert!(!far.text.contains(ROOT));
}

#[tokio::test]
async fn another_site_changes_nothing_with_a_session() {
    let server = start().await;
    let begun = server.root().call(Method::POST, "/api/v1/session").await;
    let cookie = begun
        .header("set-cookie")
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    let host = server.url.strip_prefix("http://").unwrap().to_owned();
    let own = format!("http://{host}");
    let path = "/api/v1/jobs";
    for headers in [
        vec![],
        vec![("sec-fetch-site", "cross-site")],
        vec![("sec-fetch-site", "same-site"), ("origin", &own)],
        vec![("origin", "http://evil.example")],
        vec![("origin", "null")],
    ] {
        let mut headers = headers;
        headers.push(("cookie", &cookie));
        let refused = browse(&server, Method::POST, path, &headers).await;
        refused.is_problem(403, "cross-site");
        // To look is not to change.
        let looked = browse(&server, Method::GET, path, &headers).await;
        assert_eq!(looked.status, 200, "{}", looked.text);
    }
    let headers = [("cookie", cookie.as_str()), ("origin", &own)];
    let taken = browse(&server, Method::POST, path, &headers).await;
    taken.is_problem(415, "media-type");
}

/// Posts under a key.
async fn once(caller: &Caller, path: &str, key: &str, body: &Value) -> Answer {
    let request = caller.request(Method::POST, path).json(body);
    answer(request.header("idempotency-key", key)).await
}

#[tokio::test]
async fn what_is_asked_twice_is_done_once() {
    let server = start().await;
    let root = server.root();
    let path = "/api/v1/endpoints";
    let body = json!({ "url": "http://127.0.0.1:1/", "events": ["*"] });
    let (first, second) =
        tokio::join!(once(&root, path, "k", &body), once(&root, path, "k", &body));
    // One of two at once makes it; the other is told so, or gets its answer.
    let made = if first.status == 201 && first.header("idempotency-replayed").is_empty() {
        first
    } else {
        second
    };
    assert_eq!(made.status, 201, "{}", made.text);
    let again = once(&root, path, "k", &body).await;
    assert_eq!(
        (again.status, again.header("idempotency-replayed")),
        (201, "true")
    );
    assert_eq!(again.header("location"), made.header("location"));
    let secret = made.json()["secret"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("whsec_") && !again.text.contains(&secret));
    assert_eq!(again.json()["id"], made.json()["id"]);
    let listed = root.get(path).await.json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);

    let other = json!({ "url": "http://127.0.0.1:2/", "events": ["*"] });
    let reused = once(&root, path, "k", &other).await;
    reused.is_problem(422, "idempotency-key-reused");
    once(&root, path, &"k".repeat(257), &body)
        .await
        .is_problem(400, "malformed");
    // It is the caller's alone, and what was refused can be asked again.
    let another = server
        .caller(&[Scope::EndpointsWrite, Scope::EndpointsRead], None)
        .await;
    let theirs = once(&another, path, "k", &body).await;
    assert_ne!(theirs.json()["id"], made.json()["id"]);
    let bad = json!({ "url": "ftp://x", "events": ["*"] });
    once(&root, path, "bad", &bad)
        .await
        .is_problem(422, "invalid-endpoint");
    assert_eq!(once(&root, path, "bad", &body).await.status, 201);
}

#[tokio::test]
async fn endpoints_are_found_by_how_they_are() {
    let (server, receiver) = (start().await, receiver().await);
    let root = server.root();
    for id in ["a", "b", "c"] {
        root.endpoint(id, &receiver.url(), None).await;
    }
    root.post("/api/v1/endpoints/b/pause", &json!({})).await;
    let ids = |page: Value| -> Vec<String> {
        let items = page["items"].as_array().unwrap().clone();
        items
            .iter()
            .map(|of| of["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let paused = root.get("/api/v1/endpoints?state=paused").await.json();
    assert_eq!(ids(paused), ["b"]);
    let idle = root
        .get("/api/v1/endpoints?health=idle&limit=2")
        .await
        .json();
    let next = format!(
        "/api/v1/endpoints?health=idle&limit=2&cursor={}",
        idle["next"].as_str().unwrap()
    );
    assert_eq!(ids(idle), ["a", "b"]);
    assert_eq!(ids(root.get(&next).await.json()), ["c"]);
    let shown = root
        .get("/api/v1/endpoints?include=health&include=counts")
        .await
        .json();
    assert_eq!(shown["items"][0]["health"], "idle");
    assert!(shown["items"][0]["counts"].is_object());
    assert_eq!(
        root.get("/api/v1/endpoints/a").await.json()["health"],
        "idle"
    );
    let unknown = root.get("/api/v1/endpoints?health=fine").await;
    unknown.is_problem(400, "malformed");
}

#[tokio::test]
async fn a_tenant_asks_endpoints_so_often_and_no_more() {
    let (server, receiver) = (start().await, receiver().await);
    let root = server.root();
    root.endpoint("of-a", &receiver.url(), Some("a")).await;
    let tenant = server.caller(&[Scope::EndpointsWrite], Some("a")).await;
    let path = "/api/v1/endpoints/of-a/test";
    assert_eq!(tenant.post(path, &json!({})).await.status, 200);
    let soon = tenant.post(path, &json!({})).await;
    soon.is_problem(429, "too-many-requests");
    assert_eq!(root.post(path, &json!({})).await.status, 200);
    let secret = root.get("/api/v1/endpoints/of-a/secret").await;
    secret.is_problem(403, "not-revealable");
}
