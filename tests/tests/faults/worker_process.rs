//! What a worker process does: it sends and delivers until it is told to end.
//!
//! It prints `up`, `ack <milliseconds> <deliveries>` for every event that was acknowledged, `refused` for
//! every one that was not, and `hushed` once it has stopped sending. It reads `hush`, and ends when
//! its input does. It never ends by itself.

use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use better_auth_webhooks::{
    CircuitBreakerConfig, NetworkPolicy, Resolve, RetryStrategy, WebhookSystem,
};
use serde_json::json;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, MissedTickBehavior};

use crate::connect::connect;
use crate::server::Kind;

/// Requests in flight of one worker at most.
pub(crate) const MAX_IN_FLIGHT: usize = 64;
/// The name whose resolution brings the process down.
pub(crate) const ABORTS: &str = "abort.example.com";
/// The type of the events that workers send; each goes to [`LOADED`].
pub(crate) const LOAD: &str = "load";
/// The endpoints that take every event of the workers.
pub(crate) const LOADED: [&str; 2] = ["one", "two"];
/// Sends that wait for their answer at most.
const MAX_SENDS: u32 = 200;

/// Starts the worker that the arguments of [`Order`](crate::worker::Order) describe.
pub(crate) fn main(args: &[String]) -> ExitCode {
    let [kind, url, namespace, rate, connections, retry_ms] = args else {
        panic!("a worker has six arguments");
    };
    let number = |text: &str| text.parse::<u32>().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = { runtime }.worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(run(
        Kind::parse(kind),
        url,
        namespace,
        number(rate),
        number(connections) as usize,
        number(retry_ms).into(),
    ));
    ExitCode::SUCCESS
}

async fn run(kind: Kind, url: &str, namespace: &str, rate: u32, connections: usize, retry_ms: u64) {
    let mut told = listen();
    let storage = loop {
        match connect(kind, url, namespace, connections).await {
            Ok(storage) => break storage,
            Err(error) => eprintln!("worker cannot connect yet: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    let system = WebhookSystem::builder()
        .network_policy(NetworkPolicy::permissive())
        .resolver(Loopback)
        .retry_strategy(RetryStrategy {
            max_retries: 50,
            initial_delay_ms: retry_ms,
            max_delay_ms: retry_ms.max(2_000),
            backoff_multiplier: 2.0,
        })
        .circuit_breaker(CircuitBreakerConfig {
            failure_threshold: u32::MAX,
            ..Default::default()
        })
        .max_in_flight(MAX_IN_FLIGHT)
        .build(storage);
    println!("up");
    if rate > 0 {
        send(&system, rate, told.clone()).await;
    }
    drop(told.wait_for(|told| *told >= Told::Hush).await);
    println!("hushed");
    drop(told.wait_for(|told| *told == Told::End).await);
    system.shutdown(Duration::from_secs(10)).await.unwrap();
}

/// What the harness said last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    Nothing,
    Hush,
    End,
}

fn listen() -> watch::Receiver<Told> {
    let (tell, told) = watch::channel(Told::Nothing);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines() {
            if line.is_ok_and(|line| line == "hush") {
                tell.send_replace(Told::Hush);
            }
        }
        tell.send_replace(Told::End);
        // Without the sender the others would see an error instead of the end.
        std::thread::park();
    });
    told
}

async fn send(system: &WebhookSystem, rate: u32, mut told: watch::Receiver<Told>) {
    let permits = Arc::new(Semaphore::new(MAX_SENDS as usize));
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    for n in 0_u64.. {
        let next = async {
            ticks.tick().await;
            permits.clone().acquire_owned().await.unwrap()
        };
        let permit = tokio::select! {
            permit = next => permit,
            _ = told.wait_for(|told| *told >= Told::Hush) => break,
        };
        let system = system.clone();
        tokio::spawn(async move {
            let begun = Instant::now();
            match system.send_webhook(LOAD, json!({ "n": n })).await {
                Ok(receipt) => println!(
                    "ack {} {}",
                    begun.elapsed().as_millis(),
                    receipt.delivery_ids.join(" ")
                ),
                Err(error) => println!("refused {error}"),
            }
            drop(permit);
        });
    }
    drop(permits.acquire_many(MAX_SENDS).await);
}

/// Every name is this machine, and one is deadly.
struct Loopback;

#[async_trait::async_trait]
impl Resolve for Loopback {
    async fn resolve(&self, host: &str) -> std::io::Result<Vec<IpAddr>> {
        if host == ABORTS {
            std::process::abort();
        }
        Ok(vec![Ipv4Addr::LOCALHOST.into()])
    }
}
