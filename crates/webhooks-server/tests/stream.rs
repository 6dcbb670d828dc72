//! What a client of the stream hears, over real sockets.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed expectation here is a failed test"
)]

mod support;

use std::net::IpAddr;
use std::time::Duration;

use better_auth_webhooks::storage::MemoryStorage;
use better_auth_webhooks::{Resolve, RetryStrategy, WebhookSystem};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use support::{Caller, Running, over, receiver, start};
use webhooks_server::{Scope, Scopes};
use webhooks_tests::Receiver;

const STREAM: &str = "/api/v1/stream";

/// A client of a stream.
struct Stream {
    response: Response,
    text: String,
}

/// An event that came; `comment` where it has no name.
#[derive(Debug)]
struct Event {
    name: String,
    id: String,
    data: Value,
}

impl Stream {
    async fn open(caller: &Caller, query: &str) -> Self {
        Self::from(caller, query, None).await
    }

    /// Goes on behind the event with this id.
    async fn from(caller: &Caller, query: &str, last_id: Option<&str>) -> Self {
        let mut request = caller.request(Method::GET, &format!("{STREAM}{query}"));
        if let Some(id) = last_id {
            request = request.header("last-event-id", id);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200, "{:?}", response.text().await);
        let media_type = response.headers()["content-type"].to_str().unwrap();
        assert_eq!(media_type, "text/event-stream");
        Self {
            response,
            text: String::new(),
        }
    }

    /// The next event; `None` at the end.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    let lines = event.lines();
                    let mut values = lines.filter_map(|line| line.strip_prefix(name));
                    values.next().unwrap_or_default().trim_start().to_owned()
                };
                let (name, id, data) = (field("event:"), field("id:"), field("data:"));
                self.text = rest.to_owned();
                let data = serde_json::from_str(&data).unwrap_or_default();
                return Some(Event { name, id, data });
            }
            let chunk = tokio::time::timeout(Duration::from_secs(20), self.response.chunk());
            let chunk = chunk.await.expect("an event within 20 s").unwrap()?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The next one with this name, whatever comes before.
    async fn until(&mut self, name: &str) -> Event {
        loop {
            let event = self.next().await.expect("the stream goes on");
            if event.name == name {
                return event;
            }
        }
    }

    /// The next notice of this kind.
    async fn notice(&mut self, kind: &str) -> Event {
        loop {
            let event = self.until("notice").await;
            if event.data["notice"] == kind {
                return event;
            }
        }
    }
}

/// Sends an event, and waits until it has arrived; its delivery.
async fn deliver(server: &Running, tenant: Option<&str>) -> String {
    let event = json!({ "type": "a.b", "tenant": tenant });
    let sent = server.root().post("/api/v1/events", &event).await.json();
    let id = sent["deliveries"][0].as_str().unwrap().to_owned();
    server.root().wait_for(&id, "delivered").await;
    id
}

async fn of_tenant(server: &Running, tenant: &str) -> Caller {
    let scopes = Vec::from(Scopes::of_tenants());
    server.caller(&scopes, Some(tenant)).await
}

#[tokio::test]
async fn a_delivery_is_heard_and_who_comes_back_misses_none() {
    let (server, receiver) = (start().await, receiver().await);
    let root = server.root();
    root.endpoint("ep", &receiver.url(), None).await;
    let mut stream = Stream::open(&root, "?state=delivered").await;
    let hello = stream.next().await.unwrap();
    assert_eq!(
        (&*hello.name, &hello.data["scope"]),
        ("hello", &json!("process"))
    );
    let first = deliver(&server, None).await;
    let heard = stream.next().await.unwrap();
    assert_eq!(heard.data["notice"], "delivered", "{heard:?}");
    assert_eq!(heard.data["delivery"]["delivery_id"], first);
    assert_eq!(heard.data["delivery"]["status"], 200);
    drop(stream);
    // What happens meanwhile comes first, once each, in order.
    let mut meanwhile = Vec::new();
    for _ in 0..70 {
        meanwhile.push(deliver(&server, None).await);
    }
    let mut stream = Stream::from(&root, "?state=delivered", Some(&heard.id)).await;
    assert_eq!(
        stream.next().await.unwrap().data["node"],
        hello.data["node"]
    );
    meanwhile.push(deliver(&server, None).await);
    for id in meanwhile {
        let heard = stream.next().await.unwrap();
        assert_eq!(heard.data["delivery"]["delivery_id"], id);
    }
    // From the very beginning, too.
    let mut stream = Stream::from(&root, "?state=delivered", Some(&hello.id)).await;
    assert_eq!(
        stream.until("notice").await.data["delivery"]["delivery_id"],
        first
    );
}

#[tokio::test]
async fn who_comes_back_to_another_process_is_told_that_it_may_have_missed_some() {
    let (server, other) = (start().await, start().await);
    let mut stream = Stream::open(&server.root(), "").await;
    let id = stream.next().await.unwrap().id;
    for last_id in [&*id, "no id of ours"] {
        let mut stream = Stream::from(&other.root(), "", Some(last_id)).await;
        assert_eq!(stream.next().await.unwrap().name, "hello");
        let missed = stream.next().await.unwrap();
        assert_eq!(
            (&*missed.name, &missed.data["count"]),
            ("missed", &Value::Null)
        );
    }
}

#[tokio::test]
async fn a_tenant_hears_what_is_of_its_endpoints_alone() {
    let (server, receiver) = (start().await, receiver().await);
    let (a, b) = (of_tenant(&server, "a").await, of_tenant(&server, "b").await);
    let mut stream = Stream::open(&a, "").await;
    let mut of_b = Stream::open(&b, "?endpoint_id=a-endpoint&endpoint_id=b-endpoint").await;
    for id in ["hello", "hello"] {
        assert_eq!(stream.next().await.unwrap().name, id);
        std::mem::swap(&mut stream, &mut of_b);
    }
    let root = server.root();
    for tenant in ["b", "a"] {
        let id = format!("{tenant}-endpoint");
        root.endpoint(&id, &receiver.url(), Some(tenant)).await;
    }
    let (theirs, own) = (
        deliver(&server, Some("b")).await,
        deliver(&server, Some("a")).await,
    );
    let mut text = String::new();
    loop {
        let heard = stream.next().await.unwrap();
        text.push_str(&heard.data.to_string());
        if heard.data["notice"] == "delivered" {
            assert_eq!(heard.data["delivery"]["delivery_id"], own);
            break;
        }
    }
    for marker in [&*theirs, "b-endpoint", "\"sent\""] {
        assert!(!text.contains(marker), "{text}");
    }
    let heard = of_b.notice("delivered").await;
    assert_eq!(heard.data["delivery"]["delivery_id"], theirs);
    // Numbers of the whole system are the operator's.
    let refused = a.get(&format!("{STREAM}?topics=notices,metrics")).await;
    refused.is_problem(404, "not-found");
    // Its own deleted endpoint it hears of.
    let deleted = root.request(Method::DELETE, "/api/v1/endpoints/a-endpoint");
    support::answer(deleted.header("if-match", "*")).await;
    let changed = stream.notice("endpoint_changed").await;
    assert_eq!(changed.data["deleted"], true, "{changed:?}");
}

/// Every name is one of a network that endpoints must not be in.
#[derive(Debug)]
struct Inside;

#[async_trait::async_trait]
impl Resolve for Inside {
    async fn resolve(&self, _host: &str) -> std::io::Result<Vec<IpAddr>> {
        Ok(vec![[10, 0, 0, 1].into()])
    }
}

#[tokio::test]
async fn a_tenant_is_not_told_which_addresses_are_refused() {
    let retries = RetryStrategy {
        max_retries: 0,
        ..RetryStrategy::default()
    };
    let builder = WebhookSystem::builder().retry_strategy(retries);
    let system = builder.resolver(Inside).build(MemoryStorage::new());
    let server = over(system).await;
    let root = server.root();
    root.endpoint("ep", "https://hooks.example.com/", Some("a"))
        .await;
    let caller = of_tenant(&server, "a").await;
    let mut stream = Stream::open(&caller, "?state=dead").await;
    let mut whole = Stream::open(&root, "?state=dead").await;
    let event = json!({ "type": "a.b", "tenant": "a" });
    root.post("/api/v1/events", &event).await;
    let (told, known) = (stream.notice("dead").await, whole.notice("dead").await);
    assert_eq!(known.data["delivery"]["failure"], "address_refused");
    assert_eq!(told.data["delivery"]["failure"], "dns");
}

#[tokio::test]
async fn a_process_has_so_many_streams_and_a_tenant_fewer() {
    let server = start().await;
    let (root, tenant) = (server.root(), of_tenant(&server, "a").await);
    let mut streams = Vec::new();
    for _ in 0..4 {
        streams.push(Stream::open(&tenant, "").await);
    }
    tenant.get(STREAM).await.is_problem(503, "busy");
    for _ in 4..64 {
        streams.push(Stream::open(&root, "").await);
    }
    let refused = root.get(STREAM).await;
    refused.is_problem(503, "busy");
    assert_eq!(refused.header("retry-after"), "5");
    // All of them end with the server, which does not wait for them.
    server.closer.close();
    for mut stream in streams {
        assert_eq!(stream.until("ended").await.data["reason"], "closed");
        assert!(stream.next().await.is_none());
    }
}

#[tokio::test]
async fn jobs_and_numbers_are_told_as_they_go_on() {
    let (server, receiver) = (start().await, Receiver::responding(500).await);
    let root = server.root();
    root.endpoint("ep", &receiver.url(), None).await;
    let sent = root.post("/api/v1/events", &json!({ "type": "a.b" })).await;
    let id = sent.json()["deliveries"][0].as_str().unwrap().to_owned();
    root.wait_for(&id, "dead").await;
    let mut stream = Stream::open(&root, "?topics=jobs,metrics").await;
    let mut others = Stream::open(&of_tenant(&server, "a").await, "?topics=jobs,notices").await;
    assert_eq!(others.next().await.unwrap().name, "hello");
    let numbers = stream.until("metrics").await;
    assert_eq!(numbers.data["cluster"]["counts"]["dead"], 1, "{numbers:?}");
    let job = json!({ "action": "purge", "all": true });
    let made = root.post("/api/v1/jobs", &job).await.json();
    loop {
        let job = stream.until("job").await;
        assert_eq!(job.data["id"], made["id"]);
        if job.data["state"] == "done" {
            break;
        }
    }
    // A tenant hears of no job of others: its endpoint comes first.
    root.endpoint("a-endpoint", &receiver.url(), Some("a"))
        .await;
    assert_eq!(others.next().await.unwrap().name, "notice");
    for query in ["?topics=all", "?topic=jobs", "?state=gone"] {
        let refused = root.get(&format!("{STREAM}{query}")).await;
        refused.is_problem(400, "malformed");
    }
}

#[tokio::test]
async fn a_stream_ends_with_the_key_of_its_caller() {
    let server = start().await;
    let caller = server.caller(&[Scope::DeliveriesRead], None).await;
    let mut stream = Stream::open(&caller, "").await;
    let keys = server.root().get("/api/v1/api-keys").await.json();
    let path = format!(
        "/api/v1/api-keys/{}",
        keys["items"][0]["id"].as_str().unwrap()
    );
    // Its last use is noted in the meantime.
    assert_eq!(server.root().call(Method::DELETE, &path).await.status, 204);
    assert_eq!(stream.next().await.unwrap().name, "hello");
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(31)).await;
    tokio::time::resume();
    assert_eq!(stream.until("ended").await.data["reason"], "refused");
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn a_stream_ends_when_the_key_does() {
    let server = start().await;
    let at = server
        .system
        .now()
        .unwrap()
        .after(Duration::from_millis(1_500));
    let key = json!({ "name": "k", "scopes": ["deliveries:read"], "expires_at": at.to_string() });
    let made = server.root().post("/api/v1/api-keys", &key).await.json();
    let caller = server.with_key(made["key"].as_str());
    let mut stream = Stream::open(&caller, "").await;
    assert_eq!(stream.until("ended").await.data["reason"], "refused");
    assert!(server.system.now().unwrap() >= at);
}
