//! A server on a free port, and somebody who calls it.
#![allow(dead_code, reason = "each test file uses a part")]

use std::net::SocketAddr;
use std::time::Duration;

use better_auth_webhooks::storage::{MemoryStorage, WebhookStorage};
use better_auth_webhooks::{
    NetworkPolicy, RateLimitConfig, RetryStrategy, WebhookSystem, WebhookSystemBuilder,
};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use webhooks_server::{Closer, Scope, Server, ServerBuilder};
use webhooks_tests::{Received, Receiver};

pub(crate) const ROOT: &str = "a root key of the tests, long enough";

/// A server; it ends with the test.
pub(crate) struct Running {
    pub(crate) url: String,
    pub(crate) system: WebhookSystem,
    pub(crate) closer: Closer,
    client: reqwest::Client,
}

/// Somebody who calls, with a key or without one.
#[derive(Clone)]
pub(crate) struct Caller {
    url: String,
    client: reqwest::Client,
    key: Option<String>,
}

/// A response that was read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

pub(crate) async fn start() -> Running {
    start_with(WebhookSystem::builder()).await
}

pub(crate) async fn start_with(builder: WebhookSystemBuilder) -> Running {
    start_on(builder, MemoryStorage::new()).await
}

/// On a storage of the test's own.
pub(crate) async fn start_on(
    builder: WebhookSystemBuilder,
    storage: impl WebhookStorage,
) -> Running {
    let retries = RetryStrategy {
        max_retries: 0,
        ..RetryStrategy::default()
    };
    let system = builder
        .network_policy(NetworkPolicy::permissive())
        .retry_strategy(retries)
        .build(storage);
    over(system).await
}

/// Over a system of the test's own.
pub(crate) async fn over(system: WebhookSystem) -> Running {
    over_with(system, |server| server).await
}

/// Over a system and with settings of the test's own.
pub(crate) async fn over_with(
    system: WebhookSystem,
    set: impl FnOnce(ServerBuilder) -> ServerBuilder,
) -> Running {
    let unlimited = RateLimitConfig {
        requests_per_second: 1_000_000,
        burst_size: 1_000_000,
    };
    let server = Server::builder(system.clone())
        .root_key(ROOT)
        .rate_limit(unlimited)
        .tenant_rate_limit(unlimited);
    let server = set(server).build().unwrap();
    let closer = server.closer();
    Running {
        url: serve(server).await,
        system,
        closer,
        client: webhooks_tests::http_client(),
    }
}

/// Serves on a free port, for as long as the test runs.
pub(crate) async fn serve(server: Server) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = server.into_router();
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    url
}

impl Running {
    pub(crate) fn root(&self) -> Caller {
        self.with_key(Some(ROOT))
    }

    pub(crate) fn with_key(&self, key: Option<&str>) -> Caller {
        Caller {
            url: self.url.clone(),
            client: self.client.clone(),
            key: key.map(str::to_owned),
        }
    }

    /// Somebody with a key that has these scopes, of a tenant or not.
    pub(crate) async fn caller(&self, scopes: &[Scope], tenant: Option<&str>) -> Caller {
        let names: Vec<_> = scopes.iter().map(|scope| scope.as_str()).collect();
        let body = json!({ "name": "test", "scopes": names, "tenant": tenant });
        let made = self.root().post("/api/v1/api-keys", &body).await;
        assert_eq!(made.status, 201, "{}", made.text);
        self.with_key(made.json()["key"].as_str())
    }
}

impl Caller {
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.url));
        match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        answer(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        answer(self.request(Method::POST, path).json(body)).await
    }

    pub(crate) async fn call(&self, method: Method, path: &str) -> Answer {
        answer(self.request(method, path)).await
    }

    pub(crate) async fn put(&self, path: &str, tag: (&str, &str), body: &Value) -> Answer {
        let request = self.request(Method::PUT, path).header(tag.0, tag.1);
        answer(request.json(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, tag: &str, body: &Value) -> Answer {
        let request = self.request(Method::PATCH, path).header("if-match", tag);
        answer(request.json(body)).await
    }

    /// Makes an endpoint that takes everything of its tenant.
    pub(crate) async fn endpoint(&self, id: &str, url: &str, tenant: Option<&str>) -> Answer {
        let body = json!({ "id": id, "url": url, "events": ["*"], "tenant": tenant });
        let made = self.post("/api/v1/endpoints", &body).await;
        assert_eq!(made.status, 201, "{}", made.text);
        made
    }

    /// Waits until a delivery is in this state.
    pub(crate) async fn wait_for(&self, delivery_id: &str, state: &str) -> Value {
        let path = format!("/api/v1/deliveries/{delivery_id}");
        for _ in 0..500 {
            let delivery = self.get(&path).await.json();
            if delivery["state"] == state {
                return delivery;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{delivery_id} never becomes {state}");
    }
}

pub(crate) async fn answer(request: RequestBuilder) -> Answer {
    read(request.send().await.unwrap()).await
}

async fn read(response: Response) -> Answer {
    Answer {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        text: response.text().await.unwrap(),
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no json: {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    /// That it is a problem of this kind.
    pub(crate) fn is_problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["type"], format!("urn:webhooks:problem:{code}"));
        assert_eq!(problem["status"], status);
        let instance = format!("urn:request:{}", self.header("x-request-id"));
        assert_eq!(problem["instance"], instance);
        problem
    }
}

/// A receiver that takes everything.
pub(crate) async fn receiver() -> Receiver {
    Receiver::responding(200).await
}

/// Waits for so many requests; all of them.
pub(crate) async fn expect(receiver: &Receiver, count: usize) -> Vec<Received> {
    receiver.wait_for(count).await;
    receiver.received()
}

/// A file of the test's own, which goes with it.
pub(crate) struct File(pub(crate) std::path::PathBuf);

impl File {
    pub(crate) fn new(name: &str) -> Self {
        let file = format!("webhooks-server-{name}-{}.db", std::process::id());
        Self(std::env::temp_dir().join(file))
    }
}

impl Drop for File {
    fn drop(&mut self) {
        for more in ["", "-wal", "-shm"] {
            let path = format!("{}{more}", self.0.display());
            drop(std::fs::remove_file(path));
        }
    }
}
