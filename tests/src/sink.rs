//! A receiver for load: it counts and keeps nothing.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::Answer;

/// A receiver for load on a free loopback port; it ends when it is dropped.
#[derive(Debug)]
pub struct Sink {
    address: SocketAddr,
    count: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Sink {
    /// Starts a sink that gives every request this answer.
    ///
    /// # Panics
    ///
    /// When no loopback port is free.
    #[expect(
        clippy::expect_used,
        reason = "a test cannot go on without its receiver"
    )]
    pub async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .expect("a free loopback port");
        let address = listener.local_addr().expect("the port of the listener");
        let count = Arc::new(AtomicUsize::new(0));
        let accepting = tokio::spawn(accept(listener, count.clone(), answer));
        Self {
            address,
            count,
            accepting,
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Requests that arrived so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

async fn accept(listener: TcpListener, count: Arc<AtomicUsize>, answer: Answer) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        drop(stream.set_nodelay(true));
        let (count, answer) = (count.clone(), answer.clone());
        let service = service_fn(move |request| take(request, count.clone(), answer.clone()));
        let serving = hyper::server::conn::http1::Builder::new();
        connections.spawn(serving.serve_connection(TokioIo::new(stream), service));
        while connections.try_join_next().is_some() {}
    }
}

async fn take(
    request: Request<Incoming>,
    count: Arc<AtomicUsize>,
    answer: Answer,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    // A body that breaks off is the sender's failure, which it sees itself.
    drop(request.into_body().collect().await);
    count.fetch_add(1, Ordering::Relaxed);
    let status = match answer {
        Answer::Status(status) | Answer::Header(status, ..) => status,
        Answer::After(delay, status) => {
            tokio::time::sleep(delay).await;
            status
        }
        Answer::Hang => std::future::pending().await,
    };
    Ok(Response::builder()
        .status(status)
        .body(Empty::new())
        .unwrap_or_default())
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
