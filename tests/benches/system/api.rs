//! Events by HTTP: `POST /api/v1/events` from 64 connections, against `send_webhook` from as many tasks, on
//! PostgreSQL. The client, the server and the deliveries share this process and its processors.

use std::sync::Arc;
use std::time::Duration;

use better_auth_webhooks::{RateLimitConfig, WebhookSystem};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use webhooks_server::Server;

use crate::Result;
use crate::database::{Database, Servers};
use crate::load::{Data, SENDERS, endpoint, send_to_settled, system};
use crate::measure::{Reached, Stopwatch, median_of};
use crate::report::{Report, Target};
use crate::sink_process::SinkProcess;

const ROUNDS: usize = 5;
const EVENTS: usize = 20_000;
const NAMESPACE: &str = "api";
const KEY: &str = "the root key of a benchmark, long enough";
const UNLIMITED: RateLimitConfig = RateLimitConfig {
    requests_per_second: 1_000_000,
    burst_size: 1_000_000,
};

type Http = Client<HttpConnector, Full<Bytes>>;

pub(crate) async fn run(servers: &Servers, sink: &SinkProcess, report: &mut Report) -> Result {
    let (mut direct, mut by_http) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        direct.push(sent(servers, sink).await?);
        by_http.push(posted(servers, sink).await?);
    }
    let (direct, by_http) = (median_of(&direct), median_of(&by_http));
    report.figure("PostgreSQL, send_webhook to settled", direct.rate, "/s");
    report.figure("PostgreSQL, POST /events to settled", by_http.rate, "/s");
    report.figure("POST /events, processor", by_http.cpu_us, "us each");
    let row = "PostgreSQL, POST /events from 64 connections to settled";
    report.row(
        19,
        row,
        by_http.rate / direct.rate,
        "of send_webhook",
        Target::AtLeast(0.6),
    );
    Database::Postgres.clear(servers, &[NAMESPACE]).await
}

/// A system with one endpoint.
async fn prepared(servers: &Servers, sink: &SinkProcess) -> Result<WebhookSystem> {
    let url = Database::Postgres.url(servers);
    let system = system(Database::Postgres.connect(url, NAMESPACE).await?);
    let endpoint = endpoint("endpoint_1", &sink.url(), "user.created");
    system.register_endpoint(endpoint).await?;
    Ok(system)
}

/// By the library.
async fn sent(servers: &Servers, sink: &SinkProcess) -> Result<Reached> {
    let system = prepared(servers, sink).await?;
    let types: Arc<[String]> = [String::from("user.created")].into();
    let reached = send_to_settled(&system, &types, EVENTS, 1, SENDERS).await?;
    system.shutdown(Duration::from_secs(5)).await?;
    Ok(reached)
}

/// By HTTP.
async fn posted(servers: &Servers, sink: &SinkProcess) -> Result<Reached> {
    let system = prepared(servers, sink).await?;
    let server = Server::builder(system.clone()).root_key(KEY);
    let router = server.rate_limit(UNLIMITED).build()?.into_router();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/api/v1/events", listener.local_addr()?);
    let serving = tokio::spawn(async move { axum::serve(listener, router).await });
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Http = Client::builder(TokioExecutor::new()).build(connector);
    let before = system.get_metrics().await?.successful_deliveries;
    let watch = Stopwatch::start()?;
    let mut senders = JoinSet::new();
    for _ in 0..SENDERS {
        senders.spawn(post(client.clone(), url.clone(), EVENTS / SENDERS));
    }
    while let Some(ended) = senders.join_next().await {
        ended??;
    }
    if !system.drain(Duration::from_secs(60)).await? {
        return Err("not everything was delivered within a minute".into());
    }
    let events = EVENTS / SENDERS * SENDERS;
    let reached = watch.end(events)?;
    let delivered = system.get_metrics().await?.successful_deliveries - before;
    serving.abort();
    system.shutdown(Duration::from_secs(5)).await?;
    match delivered == u64::try_from(events)? {
        true => Ok(reached),
        false => Err(format!("{delivered} of {events} were delivered").into()),
    }
}

/// Posts so many events one after the other.
async fn post(client: Http, url: String, events: usize) -> Result {
    for _ in 0..events {
        let data = serde_json::to_string(&Data::now())?;
        let body = format!(r#"{{"type":"user.created","data":{data}}}"#);
        let request = Request::post(&url)
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {KEY}"))
            .body(Full::from(body))?;
        let response = client.request(request).await?;
        if response.status() != StatusCode::ACCEPTED {
            return Err(format!("the server answered {}", response.status()).into());
        }
        response.into_body().collect().await?;
    }
    Ok(())
}
