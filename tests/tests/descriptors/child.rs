use std::fmt::Debug;
use std::fs::File;
use std::net::{TcpStream, UdpSocket};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use crate::hosts::Hosts;
use better_auth_webhooks::storage::{DeliveryQuery, MemoryStorage};
use better_auth_webhooks::{NetworkPolicy, WebhookEndpoint, WebhookError, WebhookSystem};
use serde_json::json;
use tokio::runtime::Builder;
use tokio::time::{Instant, sleep};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};
use webhooks_core::{CircuitState, DeliveryState, EventType, WebhookDelivery, WebhookEvent};
use webhooks_delivery::DeliveryEngine;
use webhooks_resilience::SystemClock;

/// The first argument of a process that is to run the scenario of the next, with hosts at the port of
/// the last.
pub(crate) const SCENARIO: &str = "--scenario";

const HOSTS: usize = 1_500;

/// Prints warnings.
struct Warnings;

impl Visit for Warnings {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        eprintln!("warning {field}={value:?}");
    }
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut Self);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Runs a scenario; it panics where that fails.
pub(crate) fn main(args: &[String]) -> ExitCode {
    tracing::subscriber::set_global_default(Warnings).unwrap();
    let port = args[1].parse().unwrap();
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        match args[0].as_str() {
            "crowd" => crowd(port).await,
            "none left" => none_left(port).await,
            "names" => names(port).await,
            "ports" => ports().await,
            "slow names" => slow_names().await,
            other => unreachable!("no scenario {other}"),
        }
    });
    ExitCode::SUCCESS
}

fn system() -> WebhookSystem {
    WebhookSystem::builder()
        .network_policy(NetworkPolicy::permissive())
        .timeout_seconds(2)
        .build(MemoryStorage::new())
}

fn endpoint(id: &str, url: String) -> WebhookEndpoint {
    WebhookEndpoint {
        id: id.into(),
        url,
        secret: "secret".into(),
        events: vec!["user.*".into()],
        ..WebhookEndpoint::default()
    }
}

fn host(port: u16, n: usize) -> String {
    format!(
        "http://127.{}.{}.{}:{}/",
        1 + n % 7,
        n / 250,
        1 + n % 250,
        port
    )
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// All deliveries, each with its attempts.
async fn assert_delivered_at_first(system: &WebhookSystem, count: usize) {
    let (mut seen, mut before) = (0, None);
    loop {
        let query = DeliveryQuery {
            before,
            with_attempts: true,
            limit: 500,
            ..Default::default()
        };
        let page = system.deliveries(&query).await.unwrap();
        for record in &page.items {
            assert_eq!(record.state, DeliveryState::Delivered, "{record:?}");
            assert_eq!(record.attempts.len(), 1, "{record:?}");
            assert_eq!(record.attempts[0].number, 1, "{record:?}");
        }
        seen += page.items.len();
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(seen, count);
    for record in system.list_endpoints().await.unwrap() {
        assert_eq!(record.gate.failing_since, None, "{record:?}");
    }
    for id in ["other", "0", "1"] {
        let metrics = system.endpoint_metrics(id).await.unwrap();
        assert_eq!(metrics.circuit.state, CircuitState::Closed);
    }
}

/// Many hosts that keep connections, then somebody else.
async fn crowd(port: u16) {
    let system = system();
    for n in 0..HOSTS {
        let endpoint = endpoint(&n.to_string(), host(port, n));
        system.register_endpoint(endpoint).await.unwrap();
    }
    system
        .send_webhook("user.created", json!({}))
        .await
        .unwrap();
    let other = WebhookEndpoint {
        events: vec!["other".into()],
        ..endpoint("other", host(port, HOSTS))
    };
    system.register_endpoint(other).await.unwrap();
    let started = Instant::now();
    let receipt = system.send_webhook("other", json!({})).await.unwrap();
    let delivered = async {
        while system
            .delivery(&receipt.delivery_ids[0])
            .await
            .unwrap()
            .state
            != DeliveryState::Delivered
        {
            sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), delivered)
        .await
        .unwrap();
    eprintln!("the unrelated one after {:?}", started.elapsed());
    assert!(system.drain(Duration::from_secs(60)).await.unwrap());
    eprintln!(
        "all after {:?}, {} files open",
        started.elapsed(),
        open_files()
    );
    assert_delivered_at_first(&system, HOSTS + 1).await;
    // And again, over connections that are kept and over new ones.
    system
        .send_webhook("user.updated", json!({}))
        .await
        .unwrap();
    system.send_webhook("other", json!({})).await.unwrap();
    assert!(system.drain(Duration::from_secs(60)).await.unwrap());
    assert_delivered_at_first(&system, 2 * (HOSTS + 1)).await;
}

fn take_all_files() -> Vec<File> {
    std::iter::from_fn(|| File::open("/dev/null").ok()).collect()
}

async fn assert_not_tried(system: &WebhookSystem, delivery_id: &str) {
    let record = system.delivery(delivery_id).await.unwrap();
    assert!(!record.state.is_ended(), "{record:?}");
    assert_eq!(
        (record.delivery.attempts, record.attempts.len()),
        (0, 0),
        "{record:?}"
    );
}

fn says_that_nothing_was_sent(error: &WebhookError) {
    assert!(
        matches!(error, WebhookError::DeliveryFailed(_)),
        "{error:?}"
    );
    assert!(
        error.is_transient() && !error.outcome_unknown(),
        "{error:?}"
    );
    assert!(error.to_string().contains("nothing was sent"), "{error}");
}

async fn by_hand(url: &str) -> Result<bool, WebhookError> {
    let engine = DeliveryEngine::builder(Arc::new(SystemClock))
        .network_policy(NetworkPolicy::permissive())
        .build()
        .unwrap();
    let event = WebhookEvent::new(
        EventType::new("user.created").unwrap(),
        None,
        &json!({}),
        1_024,
        webhooks_core::Timestamp::from_secs(1_750_000_000),
    );
    let mut delivery = WebhookDelivery::new("other", Arc::new(event.unwrap()));
    delivery.endpoint = Some(endpoint("other", url.into()).into());
    Ok(engine.deliver(&delivery).await?.is_delivered())
}

async fn register_all(system: &WebhookSystem, port: u16) {
    for (id, url) in [
        ("other", host(port, 0)),
        ("0", host(port, 1)),
        ("1", host(port, 2)),
    ] {
        system.register_endpoint(endpoint(id, url)).await.unwrap();
    }
}

/// The program itself has taken all descriptors, for a while.
async fn none_left(port: u16) {
    let system = system();
    register_all(&system, port).await;
    let verifying = WebhookSystem::builder()
        .network_policy(NetworkPolicy::permissive())
        .require_verification(true)
        .build(MemoryStorage::new());
    register_all(&verifying, port).await;
    let files = take_all_files();
    let receipt = system
        .send_webhook("user.created", json!({}))
        .await
        .unwrap();
    says_that_nothing_was_sent(&by_hand(&host(port, 0)).await.unwrap_err());
    says_that_nothing_was_sent(&verifying.verify_endpoint("other").await.unwrap_err());
    sleep(Duration::from_secs(8)).await;
    for id in &receipt.delivery_ids {
        assert_not_tried(&system, id).await;
    }
    let metrics = system.get_metrics().await.unwrap();
    assert_eq!(
        (metrics.successful_deliveries, metrics.failed_deliveries),
        (0, 0)
    );
    drop(files);
    assert!(by_hand(&host(port, 0)).await.unwrap());
    assert!(system.drain(Duration::from_secs(40)).await.unwrap());
    assert_delivered_at_first(&system, 3).await;
}

/// What resolves names says the same of a name that is not there and of a missing descriptor.
async fn names(port: u16) {
    let url = format!("http://localhost:{port}/");
    assert!(by_hand(&url).await.unwrap());
    // The connection of that engine closes.
    sleep(Duration::from_millis(300)).await;
    let files = take_all_files();
    says_that_nothing_was_sent(&by_hand(&url).await.unwrap_err());
    drop(files);
    assert!(by_hand(&url).await.unwrap());
    sleep(Duration::from_secs(3)).await;
    let nowhere = by_hand("http://nowhere.invalid/").await.unwrap();
    assert!(!nowhere, "a name that is not there is a failed attempt");
}

/// In a network of its own, in which there are few ports.
async fn ports() {
    let hosts = hosts_inside();
    let at = |n: usize| format!("http://127.0.0.{n}:{}/", hosts.port());
    std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", "40000 40007").unwrap();
    // One address for all connections, as of one host: then its ports are all there is.
    let taken: Vec<_> = (0..8)
        .map(|_| TcpStream::connect(("127.0.0.9", hosts.port())).unwrap())
        .collect();
    let url = at(9);
    let system = system();
    system
        .register_endpoint(endpoint("other", url.clone()))
        .await
        .unwrap();
    system
        .register_endpoint(endpoint("0", at(1)))
        .await
        .unwrap();
    system
        .register_endpoint(endpoint("1", at(2)))
        .await
        .unwrap();
    let receipt = system
        .webhook("user.created")
        .endpoint("other")
        .send()
        .await
        .unwrap();
    says_that_nothing_was_sent(&by_hand(&url).await.unwrap_err());
    sleep(Duration::from_secs(4)).await;
    assert_not_tried(&system, &receipt.delivery_ids[0]).await;
    drop(taken);
    std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", "40000 40999").unwrap();
    assert!(system.drain(Duration::from_secs(40)).await.unwrap());
    assert_delivered_at_first(&system, 1).await;
}

/// Hosts in a network of its own.
fn hosts_inside() -> Hosts {
    run("ip", &["link", "set", "lo", "up"]);
    Hosts::start()
}

fn run(program: &str, args: &[&str]) {
    let status = std::process::Command::new(program).args(args).status();
    assert!(status.unwrap().success(), "{program} {args:?}");
}

/// The machine's name server never answers, in a network and with files of its own.
async fn slow_names() {
    let hosts = hosts_inside();
    let _silent = UdpSocket::bind("127.0.0.53:53").unwrap();
    let settings = std::env::temp_dir().join(format!("resolv-{}", std::process::id()));
    std::fs::write(
        &settings,
        "nameserver 127.0.0.53\noptions timeout:8 attempts:1\n",
    )
    .unwrap();
    let path = settings.to_str().unwrap();
    run("mount", &["--bind", path, "/etc/resolv.conf"]);
    std::fs::remove_file(&settings).unwrap();
    let system = WebhookSystem::builder()
        .network_policy(NetworkPolicy::permissive())
        .timeout_seconds(20)
        .build(MemoryStorage::new());
    for n in 0..40 {
        // The names of one customer in domains of their own, and those of many in one domain.
        let names = [format!("a.slow{n}.example"), format!("a{n}.slow.example")];
        for (name, tenant) in names.iter().zip(["slow", &format!("t{n}")]) {
            let endpoint = WebhookEndpoint {
                tenant: Some(tenant.into()),
                ..endpoint(name, format!("http://{name}:{}/", hosts.port()))
            };
            system.register_endpoint(endpoint).await.unwrap();
            let sent = system.webhook("user.created").endpoint(name).send().await;
            sent.unwrap();
        }
    }
    sleep(Duration::from_secs(1)).await;
    let url = format!("http://localhost:{}/", hosts.port());
    system
        .register_endpoint(endpoint("other", url))
        .await
        .unwrap();
    let started = Instant::now();
    let receipt = system
        .webhook("user.created")
        .endpoint("other")
        .send()
        .await
        .unwrap();
    let id = &receipt.delivery_ids[0];
    while system.delivery(id).await.unwrap().state != DeliveryState::Delivered {
        assert!(
            started.elapsed() < Duration::from_secs(5),
            "it waits for names of others"
        );
        sleep(Duration::from_millis(20)).await;
    }
}
