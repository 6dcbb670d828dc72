//! L1: a bare loop of the hyper client that posts the same signed body, 64 requests at a time.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::task::JoinSet;
use webhooks_core::{SigningKey, signature_header};

use crate::Result;
use crate::load::{SENDERS, new_event};
use crate::measure::{Reached, Stopwatch};

const REQUESTS: usize = 50_000;

pub(crate) async fn run(url: &str) -> Result<Reached> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new())
        .pool_idle_timeout(Duration::from_secs(60))
        .build(connector);
    let request = request(url)?;
    let mut tasks = JoinSet::new();
    let watch = Stopwatch::start()?;
    for _ in 0..SENDERS {
        let (client, request) = (client.clone(), request.clone());
        tasks.spawn(async move {
            for _ in 0..REQUESTS / SENDERS {
                let response = client.request(request.clone()).await?;
                if response.status() != StatusCode::NO_CONTENT {
                    return Err(format!("the receiver responded with {}", response.status()).into());
                }
                response.into_body().collect().await?;
            }
            Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        let ended: Result = ended?;
        ended?;
    }
    watch.end(REQUESTS / SENDERS * SENDERS)
}

fn request(url: &str) -> Result<Request<Full<Bytes>>> {
    let new = new_event("endpoint", false)?;
    let body = new.event.payload.clone();
    let time = new.event.created_at.as_secs();
    let signature = signature_header([&SigningKey::new(b"secret")], time, &body);
    let request = Request::post(url)
        .header("content-type", "application/json")
        .header("user-agent", "better-auth-webhooks/0.1.0")
        .header("x-webhook-signature", signature)
        .header("x-webhook-id", new.event.id.to_string())
        .header(
            "x-webhook-delivery",
            "delivery_01900000-0000-7000-8000-000000000000",
        )
        .header("x-webhook-event", "user.created")
        .header("x-webhook-attempt", "1");
    Ok(request.body(Full::new(body))?)
}
