//! How much memory an attempt takes at its worst: at most 256 KiB above its body, whatever the
//! receiver does, under TLS too.
//!
//! A program of its own, because its allocator counts, and one measurement, because it counts all
//! threads. The receivers run in a second process of the same program, so that what they take is
//! not counted.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{self, BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use peak_alloc::PeakAlloc;
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio_rustls::TlsAcceptor;
use webhooks_core::{
    Clock, EventType, FailureKind, Timestamp, WebhookDelivery, WebhookEndpoint, WebhookEvent,
};
use webhooks_delivery::{DeliveryEngine, NetworkPolicy, Resolve, TlsOptions};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Set for the second process.
const SECOND: &str = "WEBHOOKS_MEMORY_RECEIVERS";
const NAME: &str = "hooks.example.com";
/// The promise, in bytes.
const ABOVE_THE_BODY: usize = 256 * 1024;
const BODY: usize = 200 * 1024;
const AT_ONCE: usize = 16;

/// A head, and what follows it for ever.
struct Flood {
    name: &'static str,
    head: &'static [u8],
    rest: &'static [u8],
    /// Whether a bound of the engine ends it.
    bounded: bool,
}

const FLOODS: [Flood; 8] = [
    Flood {
        name: "silence",
        head: b"",
        rest: b"",
        bounded: false,
    },
    Flood {
        name: "interim responses",
        head: b"",
        rest: b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
        bounded: true,
    },
    Flood {
        name: "headers",
        head: b"HTTP/1.1 200 OK\r\n",
        rest: b"A: b\r\n",
        bounded: true,
    },
    Flood {
        name: "one header",
        head: b"HTTP/1.1 200 OK\r\nA: ",
        rest: b"x",
        bounded: true,
    },
    Flood {
        name: "a body that is accepted",
        head: b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n",
        rest: b"x",
        bounded: true,
    },
    Flood {
        name: "the body of an error",
        head: b"HTTP/1.1 500 Oh\r\n\r\n",
        rest: b"x",
        bounded: true,
    },
    Flood {
        name: "chunks of one byte",
        head: b"HTTP/1.1 500 Oh\r\nTransfer-Encoding: chunked\r\n\r\n",
        rest: b"1\r\nx\r\n",
        bounded: true,
    },
    Flood {
        name: "trailers",
        head: b"HTTP/1.1 500 Oh\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
        rest: b"A: b\r\n",
        bounded: true,
    },
];

/// Takes the request without keeping it, responds, and then writes for as long as it can.
async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, flood: &Flood) -> io::Result<()> {
    let mut buffer = [0; 4_096];
    // The last byte of the body is the first `}` that ends a read; none is in the head.
    loop {
        let read = stream.read(&mut buffer).await?;
        if read == 0 || buffer.get(..read).unwrap().ends_with(b"}") {
            break;
        }
    }
    stream.write_all(flood.head).await?;
    let rest = flood.rest.repeat(8_192 / flood.rest.len().max(1));
    while !rest.is_empty() {
        stream.write_all(&rest).await?;
    }
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

async fn listen(flood: &'static Flood, tls: Option<TlsAcceptor>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let tls = tls.clone();
            tokio::spawn(async move {
                match tls {
                    None => serve(stream, flood).await,
                    Some(tls) => serve(tls.accept(stream).await?, flood).await,
                }
            });
        }
    });
    port
}

/// A key and the certificate for it, which the measuring process trusts.
fn tls() -> (TlsAcceptor, String) {
    let certified = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key.into())
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), certified.cert.pem())
}

/// The receivers: nothing in an ordinary run, the whole of the second process.
#[tokio::test]
async fn receivers_of_the_second_process() {
    if std::env::var_os(SECOND).is_none() {
        return;
    }
    let (acceptor, certificate) = tls();
    for flood in &FLOODS {
        let plain = listen(flood, None).await;
        let tls = listen(flood, Some(acceptor.clone())).await;
        println!("\nports {plain} {tls}");
    }
    println!("certificate {}", certificate.replace('\n', "|"));
    // It ends with the process that started it.
    let wait = || io::stdin().read_line(&mut String::new());
    let read = tokio::task::spawn_blocking(wait).await.unwrap();
    assert_eq!(read.unwrap(), 0);
}

/// The second process, and what it told.
struct Receivers {
    process: Child,
    /// Open until the end: its test runner says after a minute that it still runs, and dies if it cannot.
    told: Option<BufReader<ChildStdout>>,
    ports: Vec<[u16; 2]>,
    roots: String,
}

impl Receivers {
    fn start() -> Self {
        let mut receivers = Self {
            process: Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "receivers_of_the_second_process", "--nocapture"])
                .env(SECOND, "1")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap(),
            told: None,
            ports: Vec::new(),
            roots: String::new(),
        };
        let mut told = BufReader::new(receivers.process.stdout.take().unwrap());
        while receivers.roots.is_empty() {
            let mut line = String::new();
            assert!(told.read_line(&mut line).unwrap() > 0);
            let line = line.trim_end();
            if let Some((plain, tls)) = line.strip_prefix("ports ").and_then(|l| l.split_once(' '))
            {
                receivers
                    .ports
                    .push([plain.parse().unwrap(), tls.parse().unwrap()]);
            }
            if let Some(roots) = line.strip_prefix("certificate ") {
                receivers.roots = roots.replace('|', "\n");
            }
        }
        receivers.told = Some(told);
        receivers
    }
}

impl Drop for Receivers {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn delivery(url: String) -> WebhookDelivery {
    let event_type = EventType::new("user.created").unwrap();
    let data = serde_json::json!({ "filler": "x".repeat(BODY) });
    let event = WebhookEvent::new(event_type, None, &data, 1 << 20, Frozen.now()).unwrap();
    let mut delivery = WebhookDelivery::new("endpoint_1", Arc::new(event));
    let endpoint = WebhookEndpoint {
        id: "endpoint_1".into(),
        url,
        secret: "secret".into(),
        events: vec!["*".into()],
        ..WebhookEndpoint::default()
    };
    delivery.endpoint = Some(Arc::new(endpoint.into()));
    delivery
}

/// Bytes for each of many attempts at once, at the worst moment, above what stood there before.
fn per_attempt(url: String, roots: &str, bounded: bool) -> usize {
    // One of its own, so that nothing of an earlier measurement is still being dropped.
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let tls = TlsOptions::default().add_roots_pem(roots.as_bytes());
    let deadline = Duration::from_secs(if bounded { 60 } else { 2 });
    let engine = DeliveryEngine::builder(Arc::new(Frozen))
        .network_policy(NetworkPolicy::permissive())
        .resolver(Arc::new(Loopback))
        .tls(tls.unwrap())
        .timeout(deadline)
        .build()
        .unwrap();
    let delivery = delivery(url);
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    let attempts = join_all((0..AT_ONCE).map(|_| engine.deliver(&delivery)));
    let results = runtime.block_on(attempts);
    let worst = ALLOCATOR.peak_usage().saturating_sub(before) / AT_ONCE;
    for result in results {
        let failure = result.unwrap().failure();
        let connected = !matches!(failure, Some(FailureKind::Connect | FailureKind::Tls));
        let ended = failure != Some(FailureKind::Timeout);
        assert!(connected && ended == bounded, "{failure:?}");
    }
    worst
}

#[test]
fn an_attempt_takes_at_most_256_kib_above_its_body_whatever_the_response() {
    if std::env::var_os(SECOND).is_some() {
        return;
    }
    let receivers = Receivers::start();
    assert_eq!(receivers.ports.len(), FLOODS.len());
    for (flood, ports) in FLOODS.iter().zip(&receivers.ports) {
        for (scheme, port) in ["http", "https"].iter().zip(ports) {
            let url = format!("{scheme}://{NAME}:{port}/");
            let worst = per_attempt(url, &receivers.roots, flood.bounded);
            let name = flood.name;
            eprintln!(
                "{name}, {scheme}: {} KiB for an attempt",
                worst.div_ceil(1_024)
            );
            assert!(worst <= ABOVE_THE_BODY, "{name}, {scheme}: {worst} bytes");
        }
    }
}

#[derive(Debug)]
struct Frozen;

impl Clock for Frozen {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(1_750_000_000)
    }
}

struct Loopback;

#[async_trait]
impl Resolve for Loopback {
    async fn resolve(&self, _: &str) -> io::Result<Vec<std::net::IpAddr>> {
        Ok(vec![std::net::Ipv4Addr::LOCALHOST.into()])
    }
}
