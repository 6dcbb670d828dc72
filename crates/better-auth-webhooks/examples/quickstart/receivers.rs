//! The receivers of the demo: what a consumer of webhooks writes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use better_auth_webhooks::WebhookReceiver;
use tokio::net::TcpListener;

/// How a receiver behaves.
#[derive(Clone, Copy)]
pub(crate) enum Behaviour {
    /// Takes everything.
    Healthy,
    /// Fails twice, then takes everything.
    FailsTwice,
    /// Fails until it is mended.
    Broken,
    /// Takes everything, after a while.
    Slow,
}

/// A receiver on a free port.
pub(crate) struct Receiver {
    pub(crate) url: String,
    state: Arc<Shared>,
}

struct Shared {
    verifier: WebhookReceiver,
    behaviour: Behaviour,
    requests: AtomicUsize,
    accepted: AtomicUsize,
    mended: AtomicBool,
}

impl Receiver {
    pub(crate) async fn start(behaviour: Behaviour, secret: &str) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}/webhooks", listener.local_addr()?);
        let state = Arc::new(Shared {
            verifier: WebhookReceiver::new(secret),
            behaviour,
            requests: AtomicUsize::new(0),
            accepted: AtomicUsize::new(0),
            mended: AtomicBool::new(false),
        });
        let app = Router::new()
            .route("/webhooks", post(receive))
            .with_state(state.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(Self { url, state })
    }

    /// Requests that it verified and accepted.
    pub(crate) fn accepted(&self) -> usize {
        self.state.accepted.load(Ordering::SeqCst)
    }

    /// From now on it takes everything.
    pub(crate) fn mend(&self) {
        self.state.mended.store(true, Ordering::SeqCst);
    }
}

async fn receive(State(state): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    if state.verifier.receive(&headers, &body).is_err() {
        return StatusCode::UNAUTHORIZED;
    }
    let number = state.requests.fetch_add(1, Ordering::SeqCst) + 1;
    match state.behaviour {
        Behaviour::FailsTwice if number <= 2 => return StatusCode::SERVICE_UNAVAILABLE,
        Behaviour::Broken if !state.mended.load(Ordering::SeqCst) => {
            return StatusCode::INTERNAL_SERVER_ERROR;
        }
        Behaviour::Slow => tokio::time::sleep(Duration::from_millis(250)).await,
        Behaviour::Healthy | Behaviour::FailsTwice | Behaviour::Broken => {}
    }
    state.accepted.fetch_add(1, Ordering::SeqCst);
    StatusCode::NO_CONTENT
}
