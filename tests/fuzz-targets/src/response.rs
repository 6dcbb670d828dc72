//! What endpoints respond with, over a real connection.

use std::io;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::time::timeout;
use webhooks_core::{
    DeliveryResult, EventType, FailureKind, Outcome, Timestamp, WebhookDelivery, WebhookEndpoint,
    WebhookEvent,
};
use webhooks_delivery::{DeliveryEngine, NetworkPolicy, parse_retry_after};

use crate::stopped::{NOW, Stopped};

const DAY: Duration = Duration::from_secs(86_400);
/// How much is read of a response, and how much is kept.
const READ: usize = 8_192;
const KEPT: usize = 512;

/// Bytes that start with `HTTP` are the whole response; of others the first two are the status of a
/// well-formed response and the rest is its `Retry-After`.
pub fn response(data: &[u8]) {
    thread_local!(static WIRE: Wire = Wire::new());
    WIRE.with(|wire| match data {
        [b'H', b'T', b'T', b'P', ..] => any_response(data, &wire.response(data)),
        [a, b, retry_after @ ..] => {
            let status = 200 + u16::from_le_bytes([*a, *b]) % 800;
            well_formed(wire, status, retry_after);
        }
        _ => {}
    });
}

/// What holds for every response.
fn any_response(data: &[u8], result: &DeliveryResult) {
    match result.status {
        Some(status) => {
            assert_eq!(result.outcome, meaning(status));
            let digits = format!(" {status:03}");
            let shown = data.windows(4).any(|window| window == digits.as_bytes());
            assert!(shown, "{status} is nowhere in the response");
        }
        None => {
            let kind = result.failure();
            let broken = matches!(
                kind,
                Some(FailureKind::Reset | FailureKind::MalformedResponse)
            );
            assert!(broken, "{kind:?}");
        }
    }
    assert!(result.response.len() <= KEPT);
    let chunked = data.to_ascii_lowercase();
    let chunked = chunked.windows(7).any(|window| window == b"chunked");
    let kept = &result.response;
    let sent = kept.is_empty() || data.windows(kept.len()).any(|window| window == *kept);
    assert!(sent || chunked, "what was kept was not sent so");
    if let Some(wait) = result.retry_after {
        assert!(matches!(result.status, Some(429 | 503)) && wait <= DAY);
    }
}

fn well_formed(wire: &Wire, status: u16, retry_after: &[u8]) {
    let plain = retry_after
        .iter()
        .all(|byte| matches!(byte, b' '..=b'~' | b'\t'));
    let Some(value) = std::str::from_utf8(retry_after).ok().filter(|_| plain) else {
        return;
    };
    let head = format!("HTTP/1.1 {status} Status\r\nRetry-After: {value}\r\n");
    let result = wire.response(format!("{head}Content-Length: 2\r\n\r\nok").as_bytes());
    assert_eq!(result.status, Some(status));
    assert_eq!(result.outcome, meaning(status));
    let asked = parse_retry_after(value, UNIX_EPOCH + Duration::from_secs(NOW.unsigned_abs()));
    let expected = asked
        .filter(|_| matches!(status, 429 | 503))
        .map(|wait| wait.min(DAY));
    assert_eq!(result.retry_after, expected, "{value:?}");
    // These have no body, whatever their length says.
    let body: &[u8] = if matches!(status, 204 | 304) {
        b""
    } else {
        b"ok"
    };
    assert_eq!(result.response, body);
}

/// The table of the documentation.
fn meaning(status: u16) -> Outcome {
    let kind = match (status / 100, status) {
        (2, _) => return Outcome::Delivered,
        (_, 410) => FailureKind::Gone,
        (_, 413 | 431) => FailureKind::TooLarge,
        (_, 429) => FailureKind::TooManyRequests,
        (3, _) => FailureKind::Redirect,
        (4, _) => FailureKind::ClientError,
        (5, _) => FailureKind::ServerError,
        _ => FailureKind::MalformedResponse,
    };
    Outcome::Failed(kind)
}

/// A server that responds to one request, and the runtime of both sides.
struct Wire {
    runtime: Runtime,
    listener: TcpListener,
    delivery: WebhookDelivery,
    body: Vec<u8>,
}

impl Wire {
    fn new() -> Self {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().build().unwrap();
        let listener = runtime
            .block_on(TcpListener::bind(("127.0.0.1", 0)))
            .unwrap();
        let event_type = EventType::new("user.created").unwrap();
        let event =
            WebhookEvent::new(event_type, None, &1, 1_024, Timestamp::from_secs(NOW)).unwrap();
        let body = event.payload.to_vec();
        let mut delivery = WebhookDelivery::new("endpoint_1", Arc::new(event));
        let endpoint = WebhookEndpoint {
            id: "endpoint_1".into(),
            url: format!("http://{}/", listener.local_addr().unwrap()),
            secret: "secret".into(),
            events: vec!["*".into()],
            ..WebhookEndpoint::default()
        };
        delivery.endpoint = Some(Arc::new(endpoint.into()));
        Self {
            runtime,
            listener,
            delivery,
            body,
        }
    }

    /// What a fresh engine makes of this response. It asks once, and soon has its result.
    fn response(&self, response: &[u8]) -> DeliveryResult {
        let engine = DeliveryEngine::builder(Arc::new(Stopped))
            .network_policy(NetworkPolicy::permissive())
            .response_limits(READ, KEPT)
            .build()
            .unwrap();
        let exchange = async {
            let (served, result) =
                tokio::join!(self.serve(response), engine.deliver(&self.delivery));
            served.unwrap();
            result.unwrap()
        };
        let exchange = async { timeout(Duration::from_secs(20), exchange).await.unwrap() };
        let result = self.runtime.block_on(exchange);
        let again = async { timeout(Duration::ZERO, self.listener.accept()).await };
        assert!(self.runtime.block_on(again).is_err(), "asked twice");
        result
    }

    async fn serve(&self, response: &[u8]) -> io::Result<()> {
        let (mut stream, _) = self.listener.accept().await?;
        let mut request = Vec::new();
        while !request.ends_with(&self.body) {
            assert_ne!(stream.read_buf(&mut request).await?, 0);
        }
        // The client may close as soon as it has seen enough.
        let _closed = stream.write_all(response).await;
        let _closed = stream.shutdown().await;
        let _closed = stream.read_u8().await;
        Ok(())
    }
}
