//! The axum extractor and the tower layer behind a real server, whose clients lie about lengths,
//! flood and stall.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use webhooks_receiver::{VerifiedWebhook, VerifyWebhookLayer, WebhookReceiver};

use support::{BODY, MAX_BODY, headers, receiver};

/// Long enough for a busy machine, and far too short for a flood to end.
const SOON: Duration = Duration::from_secs(20);

/// What reached a handler.
type Handled = Arc<AtomicUsize>;

#[derive(Clone)]
struct App {
    receiver: WebhookReceiver,
    handled: Handled,
}

impl axum::extract::FromRef<App> for WebhookReceiver {
    fn from_ref(app: &App) -> Self {
        app.receiver.clone()
    }
}

/// One server with both: the extractor at `/axum`, the layer at `/tower`.
async fn start() -> (SocketAddr, Handled) {
    async fn extracted(
        State(app): State<App>,
        VerifiedWebhook(webhook): VerifiedWebhook,
    ) -> String {
        app.handled.fetch_add(1, Ordering::SeqCst);
        webhook.id
    }
    async fn layered(State(app): State<App>) -> &'static str {
        app.handled.fetch_add(1, Ordering::SeqCst);
        "webhook_1"
    }
    let handled = Handled::default();
    let app = App {
        receiver: receiver(),
        handled: Arc::clone(&handled),
    };
    let layer = VerifyWebhookLayer::new(receiver());
    let router = Router::new()
        .route("/axum", post(extracted))
        .route("/tower", post(layered).layer(layer))
        .with_state(app);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, handled)
}

/// A request whose head has these lines of framing, signed for `BODY`.
fn head(path: &str, framing: &str) -> String {
    let headers = headers(BODY);
    let signature = headers
        .get("x-webhook-signature")
        .unwrap()
        .to_str()
        .unwrap();
    format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nX-Webhook-Signature: {signature}\r\n{framing}\r\n\r\n"
    )
}

/// What the server responds to these bytes, after which nothing more comes.
async fn exchange(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut response = Vec::new();
    let read = timeout(SOON, stream.read_to_end(&mut response)).await;
    // A server that has seen enough may reset the connection, after its response.
    drop(read.unwrap());
    String::from_utf8(response).unwrap()
}

fn status(response: &str) -> Option<u16> {
    response.split(' ').nth(1)?.parse().ok()
}

async fn is_served(address: SocketAddr, path: &str) -> bool {
    let request = head(path, &format!("Content-Length: {}", BODY.len()));
    let response = exchange(address, &[request.as_bytes(), BODY].concat()).await;
    status(&response) == Some(200) && response.contains("webhook_1")
}

#[tokio::test]
async fn a_length_that_lies_verifies_nothing() {
    let (address, handled) = start().await;
    let length = BODY.len();
    for path in ["/axum", "/tower"] {
        for (framing, expected) in [
            // Too long: the rest never comes, which is no response or a bad request.
            (format!("Content-Length: {}", length + 1), &[400][..]),
            (format!("Content-Length: {MAX_BODY}"), &[400]),
            // Too short: what was signed is cut off.
            (format!("Content-Length: {}", length - 1), &[401]),
            ("Content-Length: 0".into(), &[401]),
            // Without a length there is no body.
            ("X: y".into(), &[401]),
            (format!("Content-Length: {}", MAX_BODY + 1), &[413]),
            (
                format!("Content-Length: {}", u64::MAX - 1),
                &[413, 400, 431],
            ),
            ("Content-Length: 99999999999999999999999".into(), &[400]),
            (
                format!("Content-Length: {length}\r\nContent-Length: 1"),
                &[400],
            ),
            (format!("Content-Length: -{length}"), &[400]),
            ("Transfer-Encoding: chunked".into(), &[400]),
            ("Transfer-Encoding: gzip".into(), &[400]),
        ] {
            let request = [head(path, &framing).as_bytes(), BODY].concat();
            let response = exchange(address, &request).await;
            // A connection that ends in the middle of a request may get no response at all.
            let known = status(&response).is_none_or(|status| expected.contains(&status));
            assert!(known, "{path} {framing}: {response}");
            assert_eq!(handled.load(Ordering::SeqCst), 0, "{path} {framing}");
        }
        assert!(is_served(address, path).await);
        assert_eq!(handled.swap(0, Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn a_flood_is_refused_once_it_is_over_the_limit() {
    let (address, handled) = start().await;
    for path in ["/axum", "/tower"] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = head(path, "Transfer-Encoding: chunked");
        stream.write_all(request.as_bytes()).await.unwrap();
        let (mut responses, mut requests) = stream.into_split();
        let flood = async {
            let chunk = format!("2000\r\n{}\r\n", "x".repeat(0x2000));
            let mut written = 0;
            while requests.write_all(chunk.as_bytes()).await.is_ok() {
                written += chunk.len();
            }
            written
        };
        let response = async {
            let mut response = [0; 12];
            responses.read_exact(&mut response).await.unwrap();
            response
        };
        let response = async { tokio::join!(response, flood) };
        let (response, written) = timeout(SOON, response).await.unwrap();
        assert_eq!(&response, b"HTTP/1.1 413", "{path}");
        // Besides the limit, the buffers of the kernel.
        assert!(written < MAX_BODY + (32 << 20), "{path} took {written}");
    }
    assert_eq!(handled.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn bodies_that_stall_hold_back_no_other_request() {
    let (address, handled) = start().await;
    let mut stalled = Vec::new();
    for path in ["/axum", "/tower"].iter().cycle().take(100) {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = head(path, &format!("Content-Length: {}", BODY.len()));
        let part = &[request.as_bytes(), &BODY[..5]].concat();
        stream.write_all(part).await.unwrap();
        stalled.push(stream);
    }
    for path in ["/axum", "/tower"] {
        assert!(timeout(SOON, is_served(address, path)).await.unwrap());
    }
    assert_eq!(handled.load(Ordering::SeqCst), 2);
    // The rest comes late, and is taken.
    let mut last = stalled.pop().unwrap();
    last.write_all(&BODY[5..]).await.unwrap();
    let mut response = [0; 12];
    timeout(SOON, last.read_exact(&mut response))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&response, b"HTTP/1.1 200");
}
