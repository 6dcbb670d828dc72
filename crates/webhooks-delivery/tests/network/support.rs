//! A clock, a resolver and plain-socket servers for the tests of this crate.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use webhooks_core::{
    Clock, DeliveryResult, EventType, FailureKind, Outcome, Timestamp, WebhookDelivery,
    WebhookEndpoint, WebhookEvent,
};
use webhooks_delivery::{DeliveryEngine, DeliveryEngineBuilder, NetworkPolicy, Resolve};

/// A clock that stands still.
#[derive(Debug)]
pub(crate) struct Frozen;

impl Clock for Frozen {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(1_750_000_000)
    }
}

pub(crate) fn builder() -> DeliveryEngineBuilder {
    DeliveryEngine::builder(Arc::new(Frozen))
        .network_policy(NetworkPolicy::permissive())
        .timeout(Duration::from_secs(20))
}

pub(crate) fn engine() -> DeliveryEngine {
    builder().build().unwrap()
}

pub(crate) fn endpoint(url: &str) -> WebhookEndpoint {
    WebhookEndpoint {
        id: "endpoint_1".into(),
        url: url.into(),
        secret: "secret".into(),
        events: vec!["*".into()],
        ..WebhookEndpoint::default()
    }
}

pub(crate) fn delivery_to(endpoint: WebhookEndpoint) -> WebhookDelivery {
    let event_type = EventType::new("user.created").unwrap();
    let data = serde_json::json!({ "user_id": "123" });
    let event = WebhookEvent::new(event_type, None, &data, 262_144, Frozen.now()).unwrap();
    let mut delivery = WebhookDelivery::new(&endpoint.id, Arc::new(event));
    delivery.endpoint = Some(endpoint.into());
    delivery
}

pub(crate) fn delivery(url: &str) -> WebhookDelivery {
    delivery_to(endpoint(url))
}

pub(crate) async fn deliver(engine: &DeliveryEngine, url: &str) -> DeliveryResult {
    engine.deliver(&delivery(url)).await.unwrap()
}

pub(crate) fn failed(result: &DeliveryResult, kind: FailureKind) {
    assert_eq!(result.outcome, Outcome::Failed(kind), "{result:?}");
}

/// Gives its answers in turn, and the last one for ever.
pub(crate) struct Scripted {
    answers: Vec<Vec<IpAddr>>,
    pub(crate) asked: AtomicUsize,
}

impl Scripted {
    pub(crate) fn new(answers: &[&[&str]]) -> Arc<Self> {
        let parse = |list: &&[&str]| list.iter().map(|ip| ip.parse().unwrap()).collect();
        Arc::new(Self {
            answers: answers.iter().map(parse).collect(),
            asked: AtomicUsize::new(0),
        })
    }
}

#[async_trait]
impl Resolve for Scripted {
    async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        let turn = self.asked.fetch_add(1, Ordering::SeqCst);
        let answer = self.answers.get(turn).or(self.answers.last());
        answer
            .cloned()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// A server on a loopback address that counts connections and requests.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) connections: Arc<AtomicUsize>,
    pub(crate) requests: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Runs `serve` on every connection.
    pub(crate) async fn start<F, S>(ip: &str, serve: F) -> Self
    where
        F: Fn(Peer) -> S + Send + 'static,
        S: Future<Output = io::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind((ip, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let (count, log) = (Arc::clone(&connections), Arc::clone(&requests));
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                let log = Arc::clone(&log);
                tokio::spawn(serve(Peer { stream, log }));
            }
        });
        Self {
            address,
            connections,
            requests,
            task,
        }
    }

    /// Responds to the first request of every connection with `response`, then closes.
    pub(crate) async fn responding(response: impl Into<Vec<u8>>) -> Self {
        let response = Arc::new(response.into());
        Self::start("127.0.0.1", move |mut peer| {
            let response = Arc::clone(&response);
            async move {
                peer.request().await?;
                peer.stream.write_all(&response).await?;
                peer.stream.shutdown().await
            }
        })
        .await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook?a=b", self.address)
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// One connection as its server sees it.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    log: Arc<Mutex<Vec<String>>>,
}

impl Peer {
    /// Notes what came as if it were a request.
    pub(crate) fn log(&self, text: String) {
        self.log.lock().unwrap().push(text);
    }

    /// Reads and logs one request; an error when the client has closed.
    pub(crate) async fn request(&mut self) -> io::Result<String> {
        let mut text = Vec::new();
        let head = loop {
            if let Some(end) = text.windows(4).position(|w| w == b"\r\n\r\n") {
                break end + 4;
            }
            text.push(self.stream.read_u8().await?);
        };
        let request = String::from_utf8(text).unwrap();
        let length = header(&request, "content-length").map_or(0, |v| v.parse().unwrap());
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await?;
        assert_eq!(request.len(), head);
        let request = request + std::str::from_utf8(&body).unwrap();
        self.log.lock().unwrap().push(request.clone());
        Ok(request)
    }

    /// Responds to every request until the client closes.
    pub(crate) async fn respond_to_all(mut self, response: &[u8]) -> io::Result<()> {
        loop {
            self.request().await?;
            self.stream.write_all(response).await?;
        }
    }

    /// Reads until the client closes.
    pub(crate) async fn wait_for_close(&mut self) {
        let mut rest = [0; 1024];
        while matches!(self.stream.read(&mut rest).await, Ok(n) if n > 0) {}
    }
}

/// The value of a header in the text of a request.
pub(crate) fn header<'a>(request: &'a str, name: &str) -> Option<&'a str> {
    request
        .lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}
