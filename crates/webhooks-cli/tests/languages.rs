//! The examples in other languages, against a server and with deliveries as they are.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed expectation here is a failed test"
)]

mod support;

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use support::{KEY, Place, Said, said};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use webhooks_tests::{Receiver, Response};

const EXAMPLES: [&str; 7] = [
    "send.sh",
    "send.py",
    "send.mjs",
    "send.go",
    "verify.py",
    "verify.mjs",
    "verify.go",
];
const SENDERS: [&str; 4] = ["send.sh", "send.py", "send.mjs", "send.go"];
const RECEIVERS: [&str; 3] = ["verify.py", "verify.mjs", "verify.go"];

/// An example that receives; it is killed when it is dropped.
struct Listening {
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    url: String,
}

impl Listening {
    async fn start(place: &Place, example: &str, secret: &str) -> Self {
        let mut command = run(place, example).await;
        command.env("WEBHOOK_SECRET", secret).env("PORT", "0");
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.next_line().await.unwrap().expect(example);
        let url = line.strip_prefix("listening on ").unwrap().to_owned();
        Self {
            _child: child,
            lines,
            url,
        }
    }
}

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

/// The command that runs an example; one in Go is built first.
async fn run(place: &Place, example: &str) -> Command {
    let path = docs().join("examples").join(example);
    let program = match example.rsplit_once('.').unwrap().1 {
        "sh" => "sh",
        "py" => "python3",
        "mjs" => "node",
        _ => {
            let built = place.path().join(example).with_extension("built");
            let mut build = Command::new("go");
            build.arg("build").arg("-o").arg(&built).arg(&path);
            let status = build.status().await;
            let status = status.expect("go is there (Debian: apt-get install golang-go)");
            assert!(status.success(), "{example} is not built");
            return Command::new(built);
        }
    };
    let mut command = Command::new(program);
    command.arg(path);
    command
}

async fn send(place: &Place, example: &str, server: &str, idempotency_key: &str) -> Said {
    let mut command = run(place, example).await;
    let server = server.trim_end_matches("/api/v1");
    command
        .env("WEBHOOKS_SERVER", server)
        .env("WEBHOOKS_KEY", KEY);
    said(command.env("IDEMPOTENCY_KEY", idempotency_key)).await
}

#[test]
fn the_guide_shows_each_example_word_by_word() {
    let guide = std::fs::read_to_string(docs().join("other-languages.md")).unwrap();
    for name in EXAMPLES {
        let example = std::fs::read_to_string(docs().join("examples").join(name)).unwrap();
        let language = match name.rsplit_once('.').unwrap().1 {
            "py" => "python",
            "mjs" => "js",
            other => other,
        };
        let shown = format!("```{language}\n{example}```\n");
        assert!(
            guide.contains(&shown),
            "the guide does not show {name} as it is"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_each_example_sends_is_verified_by_each_that_receives() {
    let place = Place::new();
    let served = place.serve().await;
    for example in RECEIVERS {
        let secret = place.run(&["keys", "endpoint-secret"]).await.well().out;
        let mut listening = Listening::start(&place, example, secret.trim()).await;
        place.write("secret", secret.trim());
        let add = ["endpoints", "add", &listening.url, "--id", example];
        let more = ["--signature", "standard", "--secret-file", "secret"];
        place
            .remote(&served, &[&add[..], &more].concat())
            .await
            .well();
        for sender in SENDERS {
            let key = format!("{sender} to {example}");
            let sent = send(&place, sender, &served.url, &key).await.well().json();
            assert_eq!(sent["duplicate"], false);
            let line = listening.lines.next_line().await.unwrap().unwrap();
            let id = sent["id"].as_str().unwrap();
            assert_eq!(line, format!("verified {id} user.created"));
            // The same again is stored once.
            let again: Value = send(&place, sender, &served.url, &key).await.well().json();
            assert_eq!(
                (&again["id"], &again["duplicate"]),
                (&sent["id"], &true.into())
            );
        }
        let remove = ["endpoints", "rm", example, "--yes"];
        place.remote(&served, &remove).await.well();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_signed_with_the_secret_is_refused_by_each_example() {
    let place = Place::new();
    let served = place.serve().await;
    for example in RECEIVERS {
        let secret = place.run(&["keys", "endpoint-secret"]).await.well().out;
        let listening = Listening::start(&place, example, secret.trim()).await;
        // The server makes it another secret.
        let add = ["endpoints", "add", &listening.url, "--id", example];
        let more = ["--signature", "standard"];
        place
            .remote(&served, &[&add[..], &more].concat())
            .await
            .well();
        let test = ["endpoints", "test", example];
        let tested = place.remote(&served, &test).await;
        assert_eq!(tested.code, Some(1), "{tested:?}");
        assert!(tested.out.contains("status\t401"), "{tested:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_example_tries_again_under_the_same_key_and_gives_up_what_is_refused() {
    let place = Place::new();
    for example in SENDERS {
        let script = |_: &_, n| Response::Status(if n == 1 { 503 } else { 400 });
        let receiver = Receiver::start(script).await;
        let server = receiver.url();
        let sent = send(&place, example, &server, "once").await;
        assert_ne!(sent.code, Some(0), "{example}");
        assert!(sent.err.contains("400"), "{example}: {sent:?}");
        let received = receiver.received();
        assert_eq!(received.len(), 2, "{example}");
        assert!(
            received
                .iter()
                .all(|request| request.header("idempotency-key") == "once")
        );
        assert_eq!(received[0].body, received[1].body);
    }
}
