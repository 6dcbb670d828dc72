//! The server as a process of its own: killed, started again, ended in order.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed expectation here is a failed test"
)]

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use webhooks_tests::Receiver;

/// Between two looks: a caller may look so often.
const POLL: Duration = Duration::from_millis(50);
const KEY: &str = "a root key of the tests, long enough";

/// A server; it is killed when it is dropped.
struct Served {
    child: Child,
    url: String,
    client: reqwest::Client,
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_webhooks"));
    command.args(arguments).kill_on_drop(true);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env_remove("WEBHOOKS_ROOT_KEY");
    command
}

impl Served {
    async fn start(file: &Path, more: &[&str]) -> Self {
        let storage = format!("sqlite:{}", file.display());
        let listen = [
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--network",
            "permissive",
        ];
        let mut command = command(&listen);
        command.args(["--storage", &storage]).args(more);
        let mut child = command.env("WEBHOOKS_ROOT_KEY", KEY).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines
            .next_line()
            .await
            .unwrap()
            .expect("it tells where it is");
        let url = line.split(',').next().unwrap().to_owned();
        Self {
            child,
            url,
            client: webhooks_tests::http_client(),
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.url));
        request.bearer_auth(KEY)
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.request(Method::GET, path).send().await.unwrap();
        answer.json().await.unwrap()
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let answer = self.request(Method::POST, path).json(body).send().await;
        let answer = answer.unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
        answer.json().await.unwrap()
    }

    /// Waits until so many deliveries match.
    async fn count(&self, filter: &str, wanted: usize) {
        let path = format!("/deliveries/count?{filter}");
        let mut last = Value::Null;
        for _ in 0..1_200 {
            last = self.get(&path).await["count"].clone();
            if last == wanted {
                return;
            }
            tokio::time::sleep(POLL).await;
        }
        panic!("{filter}: {last} in place of {wanted}");
    }

    fn terminate(&self) {
        let id = i32::try_from(self.child.id().unwrap()).unwrap();
        let id = rustix::process::Pid::from_raw(id).unwrap();
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    }
}

struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let id = better_auth_webhooks::WorkerId::unique();
        let path = std::env::temp_dir().join(format!("webhooks-cli-{name}-{}", id.as_str()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> std::path::PathBuf {
        self.0.join("webhooks.db")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn endpoint(url: &str) -> Value {
    json!({ "id": "ep", "url": url, "events": ["*"] })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_arrives_though_the_server_is_killed() {
    const EVENTS: usize = 400;
    let (folder, receiver) = (Folder::new("kill"), Receiver::responding(200).await);
    let mut served = Served::start(&folder.file(), &[]).await;
    served.post("/endpoints", &endpoint(&receiver.url())).await;
    for number in 0..EVENTS {
        served
            .post("/events", &json!({ "type": "a.b", "data": number }))
            .await;
    }
    served.child.kill().await.unwrap();
    let served = Served::start(&folder.file(), &[]).await;
    served.count("state=delivered", EVENTS).await;
    let mut seen: Vec<u64> = receiver
        .received()
        .iter()
        .map(|request| {
            let body: Value = serde_json::from_slice(&request.body).unwrap();
            body["data"].as_u64().unwrap()
        })
        .collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, (0..EVENTS as u64).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_a_server_that_is_killed_is_ended_by_another() {
    const EVENTS: usize = 2_000;
    let (folder, receiver) = (Folder::new("job"), Receiver::responding(200).await);
    let mut served = Served::start(&folder.file(), &[]).await;
    served.post("/endpoints", &endpoint(&receiver.url())).await;
    let event = json!({ "type": "a.b", "data": 1 });
    for _ in 0..EVENTS / 500 {
        let events = json!({ "events": vec![event.clone(); 500] });
        served.post("/events/batch", &events).await;
    }
    served.count("state=delivered", EVENTS).await;
    let job = json!({ "action": "resend", "all": true, "rate_per_second": 200 });
    let job = served.post("/jobs", &job).await;
    assert_eq!(job["matched"], EVENTS);
    let path = format!("/jobs/{}", job["id"].as_str().unwrap());
    while served.get(&path).await["changed"].as_u64().unwrap() < 400 {
        tokio::time::sleep(POLL).await;
    }
    served.child.kill().await.unwrap();
    // Another one is there by itself, and takes the job over once it is silent.
    let served = Served::start(&folder.file(), &[]).await;
    while served.get(&path).await["state"] == "running" {
        tokio::time::sleep(POLL).await;
    }
    assert_eq!(served.get(&path).await["state"], "done");
    served.count("state=delivered", EVENTS).await;
    let again = receiver.count() - EVENTS;
    // A delivery that was under way when the server died goes out once more.
    assert!((EVENTS..EVENTS + 300).contains(&again), "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_in_order_when_it_is_told_to() {
    let (folder, receiver) = (Folder::new("term"), Receiver::responding(200).await);
    let metrics = ["--metrics-listen", "127.0.0.1:0", "--prefix", "/hooks"];
    let mut served = Served::start(&folder.file(), &metrics).await;
    assert!(served.url.ends_with("/hooks/api/v1"), "{}", served.url);
    served.post("/endpoints", &endpoint(&receiver.url())).await;
    for number in 0..50 {
        served
            .post("/events", &json!({ "type": "a.b", "data": number }))
            .await;
    }
    // Whoever listens does not hold it up.
    let stream = served.request(Method::GET, "/stream").send().await.unwrap();
    served.terminate();
    let ended = tokio::time::timeout(Duration::from_secs(20), served.child.wait()).await;
    assert_eq!(ended.unwrap().unwrap().code(), Some(0));
    let heard = stream.text().await.unwrap();
    assert!(
        heard.ends_with("event: ended\ndata: {\"reason\":\"closed\"}\n\n"),
        "{heard}"
    );
    let served = Served::start(&folder.file(), &[]).await;
    served.count("state=delivered", 50).await;
    assert_eq!(receiver.count(), 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_scrapes_it_and_asks_what_is_wrong() {
    let folder = Folder::new("doctor");
    let served = Served::start(&folder.file(), &["--workers", "0"]).await;
    let scrape = served.url.replace("/api/v1", "/metrics");
    let client = &served.client;
    assert_eq!(client.get(&scrape).send().await.unwrap().status(), 401);
    let told = client.get(&scrape).bearer_auth(KEY).send().await.unwrap();
    let told = told.text().await.unwrap();
    for name in [
        "webhooks_auth_failures_total",
        "storage=\"sqlite\"",
        "# EOF",
    ] {
        assert!(told.contains(name), "{told}");
    }
    let found = served.get("/doctor").await;
    let levels = found["checks"].as_array().unwrap().iter();
    let wrong = levels.filter(|check| check["level"] != "ok");
    let wrong: Vec<_> = wrong.map(|check| check["name"].clone()).collect();
    // Nobody delivers, as it was told to.
    assert_eq!(wrong, ["workers"], "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_never_end_are_not_waited_for() {
    let folder = Folder::new("slow");
    let served = Served::start(&folder.file(), &[]).await;
    let address = served
        .url
        .trim_start_matches("http://")
        .split('/')
        .next()
        .unwrap();
    // Nothing at all, half a head, and a connection that has had its answer.
    for sent in [
        "",
        "GET / HTTP/1.1\r\nhost: a\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
    ] {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        let ended = tokio::time::timeout(Duration::from_secs(30), read).await;
        assert!(ended.is_ok(), "the server goes on waiting after {sent:?}");
    }
    let large = format!(
        "GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n",
        "x".repeat(64 << 10)
    );
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    drop(stream.write_all(large.as_bytes()).await);
    let mut answer = String::new();
    drop(stream.read_to_string(&mut answer).await);
    assert!(answer.is_empty() || answer.contains("431"), "{answer}");
}

#[tokio::test]
async fn it_refuses_to_be_open_to_others_without_a_key() {
    let listen = ["serve", "--listen", "0.0.0.0:0", "--storage", "memory:"];
    let refused = command(&listen).output().await.unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("WEBHOOKS_ROOT_KEY"), "{said}");
    let short = command(&listen).env("WEBHOOKS_ROOT_KEY", "short").output();
    let short = short.await.unwrap();
    assert_eq!(short.status.code(), Some(2));
    let said = String::from_utf8(short.stderr).unwrap();
    assert!(said.contains("root_key has 5 bytes"), "{said}");
    let storage = ["serve", "--storage", "http://u:marker@h"];
    let refused = command(&storage).output().await.unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("sqlite:PATH"), "{said}");
}

#[tokio::test]
async fn it_prints_the_document_of_the_api() {
    let printed = command(&["openapi"]).output().await.unwrap();
    assert_eq!(printed.status.code(), Some(0));
    let document: Value = serde_json::from_slice(&printed.stdout).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
}
