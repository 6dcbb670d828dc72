//! Webhooks that are received on this machine, by the command as a process.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed expectation here is a failed test"
)]

mod support;

use better_auth_webhooks::storage::MemoryStorage;
use better_auth_webhooks::{NetworkPolicy, RetryStrategy, WebhookEndpoint, WebhookSystem};
use serde_json::{Value, json};
use support::Place;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout};
use webhooks_tests::{Receiver, Response};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A command that listens; it is killed when it is dropped.
struct Listening {
    child: Child,
    url: String,
    out: Lines<BufReader<ChildStdout>>,
    _err: Lines<BufReader<ChildStderr>>,
}

async fn listen(place: &Place, arguments: &[&str]) -> Listening {
    let mut command = place.command();
    command.args(["listen", "--port", "0"]).args(arguments);
    let mut child = command.env("WEBHOOKS_SECRET", SECRET).spawn().unwrap();
    let mut err = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = err.next_line().await.unwrap().expect("it says where it is");
    let url = line.split("listens on ").nth(1).expect(&line);
    Listening {
        url: url.split("/,").next().unwrap().to_owned(),
        out: BufReader::new(child.stdout.take().unwrap()).lines(),
        _err: err,
        child,
    }
}

impl Listening {
    async fn json(&mut self) -> Value {
        let line = self.out.next_line().await.unwrap().unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

/// A system whose endpoint is there.
async fn system(url: &str, secret: &str) -> WebhookSystem {
    let retries = RetryStrategy {
        max_retries: 0,
        ..RetryStrategy::default()
    };
    let system = WebhookSystem::builder()
        .network_policy(NetworkPolicy::permissive())
        .retry_strategy(retries)
        .build(MemoryStorage::new());
    let endpoint = WebhookEndpoint {
        id: "ep".into(),
        url: url.into(),
        secret: secret.into(),
        events: vec!["*".into()],
        ..WebhookEndpoint::default()
    };
    system.register_endpoint(endpoint).await.unwrap();
    system
}

#[tokio::test]
async fn a_delivery_is_shown_kept_and_verified_again() {
    let place = Place::new();
    std::fs::create_dir(place.path().join("kept")).unwrap();
    let mut listening = listen(&place, &["--json", "--save", "kept"]).await;
    let system = system(&format!("{}/a/b", listening.url), SECRET).await;
    let sent = system.send_webhook("user.created", json!({ "n": 1 })).await;
    let shown = listening.json().await;
    assert_eq!(
        (&shown["verified"], &shown["error"]),
        (&json!(true), &json!(null))
    );
    assert_eq!(shown["event"], "user.created");
    assert_eq!(shown["id"], sent.unwrap().event_id);
    assert_eq!(shown["body"]["data"]["n"], 1);
    let verify = [
        "verify",
        "--request",
        "kept/request-0001.http",
        "--secret",
        SECRET,
    ];
    place.run(&verify).await.well();
    let deadline = std::time::Duration::from_secs(10);
    assert!(system.drain(deadline).await.unwrap(), "204 is taken");
}

#[tokio::test]
async fn what_is_forged_is_told_and_goes_no_further() {
    let (place, app) = (Place::new(), Receiver::responding(200).await);
    let forward = ["--json", "--forward-to", &app.url()];
    let mut listening = listen(&place, &forward).await;
    let forger = system(&listening.url, "another secret").await;
    forger
        .send_webhook("user.created", json!({}))
        .await
        .unwrap();
    let shown = listening.json().await;
    assert_eq!(shown["verified"], false);
    assert_eq!(shown["error"], "no presented signature matches");
    // Refused, and so dead: the app had its chance to see it.
    let deadline = std::time::Duration::from_secs(10);
    assert!(forger.drain(deadline).await.unwrap());
    assert_eq!(app.count(), 0);
    let outside = ["listen", "--forward-to", "https://example.com/"];
    place.run(&outside).await.fails(2, "--allow-external");
}

#[tokio::test]
async fn an_app_gets_the_same_bytes_under_its_own_secret() {
    let (place, app) = (
        Place::new(),
        Receiver::start(|_: &_, _| Response::Status(201)).await,
    );
    place.write("app-secret", "the secret of the app");
    let to = format!("{}?own=1", app.url());
    let forward = [
        "--json",
        "--forward-to",
        &to,
        "--sign-with-file",
        "app-secret",
    ];
    let mut listening = listen(&place, &forward).await;
    let system = system(&format!("{}/x?from=sender", listening.url), SECRET).await;
    let data = serde_json::value::RawValue::from_string("{ \"z\":1.0,\"a\":\"é\" }".into());
    system.send_webhook("a.b", data.unwrap()).await.unwrap();
    assert_eq!(listening.json().await["verified"], true);
    app.wait_for(1).await;
    let received = app.received().remove(0);
    assert!(
        received.uri.to_string().ends_with("?own=1&from=sender"),
        "{}",
        received.uri
    );
    let body = std::str::from_utf8(&received.body).unwrap();
    assert!(body.contains("{ \"z\":1.0,\"a\":\"é\" }"), "{body}");
    let app = better_auth_webhooks::WebhookReceiver::new("the secret of the app");
    app.verify(&received.headers, &received.body).unwrap();
}

#[tokio::test]
async fn a_payload_does_nothing_to_a_terminal_and_types_are_chosen() {
    let place = Place::new();
    let mut listening = listen(&place, &["--events", "hostile.*", "--respond", "200:ok"]).await;
    let system = system(&listening.url, SECRET).await;
    system.send_webhook("other", json!({})).await.unwrap();
    let hostile = json!({ "t": "\u{1b}[2J\u{202e}", "o": { "p": [1] } });
    system.send_webhook("hostile.event", hostile).await.unwrap();
    let line = listening.out.next_line().await.unwrap().unwrap();
    assert!(line.contains("✓ hostile.event webhook_"), "{line}");
    let mut shown = line;
    while !shown.ends_with("\n}") {
        shown.push('\n');
        shown.push_str(&listening.out.next_line().await.unwrap().unwrap());
    }
    assert!(!shown.contains(['\u{1b}', '\u{202e}']), "{shown:?}");
    assert!(
        shown.contains("\\u001b[2J\\u202e") && !shown.contains(SECRET),
        "{shown}"
    );
    let id = i32::try_from(listening.child.id().unwrap()).unwrap();
    let id = rustix::process::Pid::from_raw(id).unwrap();
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    assert_eq!(listening.child.wait().await.unwrap().code(), Some(0));
}
