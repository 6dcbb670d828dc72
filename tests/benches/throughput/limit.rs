//! L1: a bare loop of the hyper client, 64 requests at a time.

use std::error::Error;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::task::JoinSet;
use webhooks_core::{SigningKey, signature_header};

use crate::measure::{Figure, Stopwatch};

const REQUESTS: usize = 100_000;
const IN_FLIGHT: usize = 64;

pub(crate) async fn run(url: &str) -> Result<Figure, Box<dyn Error>> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
    let body = Bytes::from(vec![b'x'; 300]);
    let signature = signature_header([&SigningKey::new(b"secret")], 1_750_000_000, &body);
    let request = Request::post(url)
        .header("content-type", "application/json")
        .header("user-agent", "better-auth-webhooks/0.1.0")
        .header("x-webhook-signature", signature)
        .header(
            "x-webhook-id",
            "webhook_01900000-0000-7000-8000-000000000000",
        )
        .header(
            "x-webhook-delivery",
            "delivery_01900000-0000-7000-8000-000000000000",
        )
        .header("x-webhook-event", "user.created")
        .header("x-webhook-attempt", "1")
        .body(Full::new(body))?;
    let mut tasks = JoinSet::new();
    let watch = Stopwatch::start()?;
    for _ in 0..IN_FLIGHT {
        let (client, request) = (client.clone(), request.clone());
        tasks.spawn(async move {
            for _ in 0..REQUESTS / IN_FLIGHT {
                let answer = client
                    .request(request.clone())
                    .await
                    .map_err(|e| e.to_string())?;
                answer
                    .into_body()
                    .collect()
                    .await
                    .map_err(|error| error.to_string())?;
            }
            Ok::<_, String>(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    watch.end(REQUESTS)
}
