//! A real HTTP receiver on a free loopback port, which responds by a script and keeps a ledger.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// What the receiver does with a request.
#[derive(Clone, Debug)]
pub enum Response {
    /// Responds with this status.
    Status(u16),
    /// Responds with this status and header.
    Header(u16, &'static str, String),
    /// Responds with this status and body.
    Body(u16, String),
    /// Responds with this status after a while.
    After(Duration, u16),
    /// Never responds.
    Hang,
}

/// One request, as it arrived.
#[derive(Clone, Debug)]
pub struct Received {
    /// What was asked for: path and query.
    pub uri: Uri,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, to the byte.
    pub body: Bytes,
}

impl Received {
    /// The value of a header, or nothing.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

type Script = dyn Fn(&Received, usize) -> Response + Send + Sync;

/// The receiver; it ends when it is dropped.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    ledger: Arc<Ledger>,
    accepting: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Ledger {
    received: Mutex<Vec<Received>>,
    arrived: Notify,
    connections: AtomicUsize,
}

impl Ledger {
    fn received(&self) -> MutexGuard<'_, Vec<Received>> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Receiver {
    /// Starts a receiver. The script is asked with each request and its number, from 1.
    ///
    /// # Panics
    ///
    /// When no loopback port is free.
    #[expect(
        clippy::expect_used,
        reason = "a test cannot go on without its receiver"
    )]
    pub async fn start(
        script: impl Fn(&Received, usize) -> Response + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .expect("a free loopback port");
        let address = listener.local_addr().expect("the port of the listener");
        let ledger = Arc::new(Ledger::default());
        let accepting = tokio::spawn(accept(listener, ledger.clone(), Arc::new(script)));
        Self {
            address,
            ledger,
            accepting,
        }
    }

    /// Starts a receiver that responds to everything with one status.
    pub async fn responding(status: u16) -> Self {
        Self::start(move |_, _| Response::Status(status)).await
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/webhooks", self.address)
    }

    /// Everything that arrived so far.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.ledger.received().clone()
    }

    /// How many requests arrived so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.ledger.received().len()
    }

    /// How many connections were made so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.ledger.connections.load(Ordering::SeqCst)
    }

    /// Waits until `count` requests have arrived; gives up after 20 s.
    ///
    /// # Panics
    ///
    /// When they do not.
    #[expect(clippy::expect_used, reason = "the test has failed")]
    pub async fn wait_for(&self, count: usize) {
        let enough = async {
            loop {
                let arrived = self.ledger.arrived.notified();
                if self.count() >= count {
                    return;
                }
                arrived.await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(20), enough).await;
        waited.expect("the requests should arrive within 20 s");
    }
}

async fn accept(listener: TcpListener, ledger: Arc<Ledger>, script: Arc<Script>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        ledger.connections.fetch_add(1, Ordering::SeqCst);
        // A small response must not wait for the acknowledgement of the one before.
        drop(stream.set_nodelay(true));
        let (ledger, script) = (ledger.clone(), script.clone());
        let service = service_fn(move |request| respond(request, ledger.clone(), script.clone()));
        let serving = hyper::server::conn::http1::Builder::new();
        connections.spawn(serving.serve_connection(TokioIo::new(stream), service));
        while connections.try_join_next().is_some() {}
    }
}

async fn respond(
    request: Request<Incoming>,
    ledger: Arc<Ledger>,
    script: Arc<Script>,
) -> Result<http::Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body
        .collect()
        .await
        .map(|body| body.to_bytes())
        .unwrap_or_default();
    let received = Received {
        uri: head.uri,
        headers: head.headers,
        body,
    };
    let number = {
        let mut all = ledger.received();
        all.push(received.clone());
        all.len()
    };
    ledger.arrived.notify_waiters();
    let mut body = String::new();
    let (status, header) = match script(&received, number) {
        Response::Status(status) => (status, None),
        Response::Header(status, name, value) => (status, Some((name, value))),
        Response::Body(status, text) => {
            body = text;
            (status, None)
        }
        Response::After(delay, status) => {
            tokio::time::sleep(delay).await;
            (status, None)
        }
        Response::Hang => std::future::pending().await,
    };
    let mut response = http::Response::builder().status(status);
    if let Some((name, value)) = header {
        response = response.header(name, value);
    }
    Ok(response.body(Full::from(body)).unwrap_or_default())
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
