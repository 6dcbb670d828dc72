//! Measures the CPU time of one delivery against a bare hyper connection that posts the same
//! signed bytes to the same sink: `cargo run --release --example overhead`.
#![allow(clippy::unwrap_used, reason = "a measurement that fails should stop")]
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use webhooks_core::{
    Clock, EventType, SigningKey, Timestamp, WebhookDelivery, WebhookEndpoint, WebhookEvent,
    signature_header,
};
use webhooks_delivery::{DeliveryEngine, NetworkPolicy};

const REQUESTS: u32 = 50_000;

#[derive(Debug)]
struct Frozen;

impl Clock for Frozen {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(1_750_000_000)
    }
}

/// Answers as soon as a read ends in the end of the body, which is `}`.
async fn sink(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut buffer = [0; 16_384];
            while let Ok(read) = stream.read(&mut buffer).await {
                if read == 0 {
                    return;
                }
                if buffer.get(read - 1) == Some(&b'}') {
                    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                    stream.write_all(answer).await.unwrap();
                }
            }
        });
    }
}

/// CPU time of this thread, from the scheduler's accounts (Linux).
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

fn main() {
    let server = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let listener = server.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    server.spawn(sink(listener));
    let client = Builder::new_current_thread().enable_all().build().unwrap();
    let data = serde_json::json!({ "user_id": "123", "text": "x".repeat(400) });
    let event_type = EventType::new("user.created").unwrap();
    let event = WebhookEvent::new(event_type, None, &data, 262_144, Frozen.now()).unwrap();
    let mut delivery = WebhookDelivery::new("endpoint_1", Arc::new(event));
    delivery.endpoint = Some(Arc::new(WebhookEndpoint {
        id: "endpoint_1".into(),
        url: format!("http://{address}/hook"),
        secret: "secret".into(),
        events: vec!["*".into()],
        ..WebhookEndpoint::default()
    }));
    for round in 1..=4 {
        let bare = bare(&client, address, &delivery.event.payload);
        let engine = engine(&client, &delivery);
        let above = engine.as_nanos() as f64 - bare.as_nanos() as f64;
        println!(
            "round {round}: bare {bare:?}, engine {engine:?}, above {:.2} us",
            above / 1e3
        );
    }
}

fn bare(client: &Runtime, address: std::net::SocketAddr, body: &Bytes) -> Duration {
    client.block_on(async {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        let key = SigningKey::new(b"secret");
        let start = cpu();
        for _ in 0..REQUESTS {
            let request = http::Request::post("/hook")
                .header("host", "127.0.0.1")
                .header("content-type", "application/json")
                .header(
                    "x-webhook-signature",
                    signature_header([&key], 1_750_000_000, body),
                )
                .body(Full::new(body.clone()))
                .unwrap();
            sender.ready().await.unwrap();
            let response = sender.send_request(request).await.unwrap();
            response.into_body().collect().await.unwrap();
        }
        (cpu() - start) / REQUESTS
    })
}

fn engine(client: &Runtime, delivery: &WebhookDelivery) -> Duration {
    client.block_on(async {
        let engine = DeliveryEngine::builder(Arc::new(Frozen))
            .network_policy(NetworkPolicy::permissive())
            .build()
            .unwrap();
        let start = cpu();
        for _ in 0..REQUESTS {
            assert!(engine.deliver(delivery).await.unwrap().is_delivered());
        }
        (cpu() - start) / REQUESTS
    })
}
