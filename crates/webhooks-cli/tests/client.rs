//! The commands that speak the API, as processes: against a server, and straight on a storage.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed expectation here is a failed test"
)]

mod support;

use std::process::Stdio;

use serde_json::{Value, json};
use support::{KEY, Place, said};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use webhooks_tests::Receiver;

/// What must not be told but where it is made.
const MARKER: &str = "marker-that-nobody-must-see";

#[tokio::test(flavor = "multi_thread")]
async fn a_server_and_a_storage_are_spoken_to_alike() {
    let place = Place::new();
    let add = [
        "endpoints",
        "add",
        "https://a.example/hook?k=1",
        "--id",
        "a/b?#ü",
        "--events",
        "user.*",
        "--metadata",
        "team=x",
        "--tenant",
        "t",
    ];
    place.local(&add).await.well();
    let served = place.serve().await;
    let more = [
        "endpoints",
        "add",
        "https://b.example",
        "--id",
        "b",
        "--disabled",
    ];
    place.remote(&served, &more).await.well();
    for command in [
        &["endpoints", "list"][..],
        &["endpoints", "list", "--json"],
        &["endpoints", "list", "--tenant", "t"],
        &["endpoints", "list", "--limit", "1"],
        &["endpoints", "get", "a/b?#ü"],
        &["endpoints", "get", "b", "--json"],
        &["endpoints", "get", "c"],
        &["keys", "list"],
    ] {
        let (remote, local) = (
            place.remote(&served, command).await,
            place.local(command).await,
        );
        assert_eq!(remote.out, local.out, "{command:?}");
        assert_eq!(remote.err, local.err, "{command:?}");
        assert_eq!(remote.code, local.code, "{command:?}");
    }
    let listed = place.local(&["endpoints", "list"]).await.well().out;
    assert_eq!(
        listed,
        "a/b?#ü\topen\tt\tuser.*\thttps://a.example/hook?k=1\n\
         b\tdisabled\t\t*\thttps://b.example\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_exit_code_says_what_it_means() {
    let (place, dead) = (Place::new(), Receiver::responding(500).await);
    let add = ["endpoints", "add", &dead.url(), "--id", "ep"];
    place.local(&add).await.well();
    place
        .local(&["endpoints", "test", "ep"])
        .await
        .fails(1, "not delivered");
    place.local(&["endpoints"]).await.fails(2, "Usage");
    place
        .local(&["endpoints", "edit", "ep"])
        .await
        .fails(2, "--help");
    place
        .local(&["endpoints", "rm", "ep"])
        .await
        .fails(2, "--yes");
    place
        .local(&["endpoints", "get", "none"])
        .await
        .fails(3, "none");
    let wrong = ["endpoints", "add", "ftp://h", "--id", "x"];
    place.local(&wrong).await.fails(4, "url");
    place.local(&add).await.fails(7, "ep");
    let served = place.serve().await;
    let without_key = ["endpoints", "list", "--server", &served.url];
    place.run(&without_key).await.fails(5, "key");
    let nobody = ["info", "--server", "http://127.0.0.1:9"];
    place.run(&nobody).await.fails(6, "127.0.0.1:9");
    // Something else answers there.
    let elsewhere = ["info", "--server", &dead.url()];
    place.run(&elsewhere).await.fails(6, "500");
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_is_interrupted_says_so() {
    let (place, dead) = (Place::new(), Receiver::responding(500).await);
    let served = place.serve().await;
    let add = ["endpoints", "add", &dead.url(), "--id", "ep"];
    place.remote(&served, &add).await.well();
    let mut command = place.command();
    command.args(["send", "a.b", "--wait", "10m", "--server", &served.url]);
    let mut child = command.env("WEBHOOKS_KEY", KEY).spawn().unwrap();
    // It waits once the event is out.
    while dead.count() == 0 {
        tokio::task::yield_now().await;
    }
    let id = i32::try_from(child.id().unwrap()).unwrap();
    let id = rustix::process::Pid::from_raw(id).unwrap();
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    assert_eq!(child.wait().await.unwrap().code(), Some(130));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_arrives_byte_by_byte() {
    let (place, receiver) = (Place::new(), Receiver::responding(200).await);
    let served = place.serve().await;
    let add = ["endpoints", "add", &receiver.url(), "--id", "ep"];
    place.remote(&served, &add).await.well();
    let data = r#"{"n": 1.10, "n2":12345678901234567890123}"#;
    let send = ["send", "a.b", "--data", data, "--wait", "30s", "--json"];
    let sent = place.remote(&served, &send).await.well().json();
    assert_eq!(sent["deliveries"][0]["state"], "delivered");
    let body = String::from_utf8(receiver.received()[0].body.to_vec()).unwrap();
    assert!(body.contains(data), "{body}");
    let lines = "{\"type\":\"a.b\",\"data\":1}\nno json\n\n{\"type\":\"a b\"}\n{\"data\":2}\n";
    place.write("events.ndjson", lines);
    let send = ["send", "a.c", "--ndjson", "events.ndjson", "--json"];
    let sent = place
        .remote(&served, &send)
        .await
        .fails(4, "2 events stored, 2 refused");
    let told: Vec<Value> = sent
        .out
        .lines()
        .map(|of| serde_json::from_str(of).unwrap())
        .collect();
    let lines: Vec<_> = told.iter().map(|of| of["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, [1, 2, 4, 5]);
    assert!(
        sent.err.contains("line 2:") && sent.err.contains("line 4:"),
        "{sent:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_many_events_is_sent_whole_and_in_order() {
    const EVENTS: usize = 2_500;
    let (place, receiver) = (Place::new(), Receiver::responding(200).await);
    place
        .local(&["endpoints", "add", &receiver.url(), "--id", "ep"])
        .await
        .well();
    let mut command = place.command();
    command.args([
        "send",
        "a.b",
        "--ndjson",
        "-",
        "--json",
        "--storage",
        "sqlite:webhooks.db",
    ]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let lines: String = (0..EVENTS)
        .map(|of| format!("{{\"data\":{of}}}\n"))
        .collect();
    tokio::spawn(async move { stdin.write_all(lines.as_bytes()).await });
    let output = child.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(0));
    let out = String::from_utf8(output.stdout).unwrap();
    let line = |of: &str| {
        serde_json::from_str::<Value>(of).unwrap()["line"]
            .as_u64()
            .unwrap()
    };
    let told: Vec<_> = out.lines().map(line).collect();
    assert_eq!(told, (1..=EVENTS as u64).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_tells_of_what_does_not_arrive() {
    let (place, dead) = (Place::new(), Receiver::responding(500).await);
    let served = place.serve().await;
    let add = ["endpoints", "add", &dead.url(), "--id", "ep"];
    place.remote(&served, &add).await.well();
    let send = ["send", "a.b", "--wait", "1s"];
    let sent = place
        .remote(&served, &send)
        .await
        .fails(1, "1 deliveries have not ended");
    assert!(
        sent.out.contains("scheduled") || sent.out.contains("ready"),
        "{sent:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn apply_does_what_the_file_says_and_nothing_twice() {
    let place = Place::new();
    place
        .local(&["endpoints", "add", "https://old.example", "--id", "old"])
        .await
        .well();
    let file = format!(
        "[[endpoints]]\nid = \"a\"\nurl = \"https://a.example\"\nevents = [\"a.*\"]\n\
         secret = \"{MARKER}\"\nheaders = {{ x-token = \"{MARKER}\" }}\n\
         [[endpoints]]\nid = \"b\"\nurl = \"https://b.example\"\nevents = [\"*\"]\n\
         metadata = {{ team = \"x\" }}\n"
    );
    place.write("endpoints.toml", &file);
    let apply = [
        "endpoints",
        "apply",
        "-f",
        "endpoints.toml",
        "--prune",
        "--yes",
    ];
    let dry = place
        .local(&[&apply[..], &["--dry-run"]].concat())
        .await
        .well();
    assert_eq!(dry.out, "+ a\n+ b\n- old\n");
    let listed = place.local(&["endpoints", "list"]).await.well().out;
    assert_eq!(listed.lines().count(), 1, "a dry run changes nothing");
    let first = place.local(&apply).await.well();
    assert!(first.out.contains("+ b\n    secret: whsec_"), "{first:?}");
    let before = place
        .local(&["endpoints", "list", "--json"])
        .await
        .well()
        .out;
    let second = place.local(&apply).await.well();
    assert_eq!(second.out, "");
    let after = place
        .local(&["endpoints", "list", "--json"])
        .await
        .well()
        .out;
    assert_eq!(before, after);
    place.write("endpoints.toml", &file.replace("b.example", "c.example"));
    let third = place.local(&apply).await.well();
    let change = "~ b\n    url: \"https://b.example\" -> \"https://c.example\"\n";
    assert_eq!(third.out, change);
    for said in [dry, first, second, third] {
        assert!(!format!("{said:?}").contains(MARKER), "{said:?}");
    }
    assert!(!after.contains(MARKER), "{after}");
    place.write(
        "endpoints.toml",
        "[[endpoints]]\nid = \"a\"\nurl = \"x\"\nevent = [\"*\"]\n",
    );
    place.local(&apply).await.fails(2, "no field \"event\"");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_from_elsewhere_are_only_text() {
    let place = Place::new();
    let hostile = "\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}evil\r\n\tx";
    let fields = json!({ "description": hostile, "metadata": { "a": hostile } }).to_string();
    let add = [
        "endpoints",
        "add",
        "https://a.example",
        "--id",
        "a",
        "--fields",
        &fields,
    ];
    place.local(&add).await.well();
    for command in [
        &["endpoints", "get", "a"][..],
        &["endpoints", "get", "a", "--json"],
    ] {
        let said = place.local(command).await.well();
        let active = ['\u{1b}', '\u{7}', '\u{9b}', '\u{202e}', '\r'];
        assert!(!said.out.contains(active), "{said:?}");
        assert!(said.out.contains("owned"), "{said:?}");
    }
    let json = place
        .local(&["endpoints", "get", "a", "--json"])
        .await
        .well()
        .json();
    assert_eq!(json["description"], hostile);
    let revoke = ["keys", "revoke", "\u{1b}[31mx", "--yes"];
    place.local(&revoke).await.fails(4, "control character");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_goes_ends_it_quietly() {
    let place = Place::new();
    let lines: String = (0..5_000)
        .map(|of| format!("{{\"data\":{of}}}\n"))
        .collect();
    place.write("events.ndjson", &lines);
    let mut command = place.command();
    command.args(["send", "a.b", "--ndjson", "events.ndjson", "--json"]);
    let mut child = command.args(["--storage", "memory:"]).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(out.next_line().await.unwrap().is_some());
    drop(out);
    let output = child.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_shown_once_and_opens_what_it_may() {
    let place = Place::new();
    let served = place.serve().await;
    let root = place.run(&["keys", "generate", "--root"]).await.well();
    assert!(root.out.trim().len() >= 32, "{root:?}");
    let make = [
        "keys",
        "generate",
        "--role",
        "viewer",
        "--expires",
        "1d",
        "--json",
    ];
    let made = place.remote(&served, &make).await.well().json();
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    let list = ["endpoints", "list", "--server", &served.url, "--key", key];
    place.run(&list).await.well();
    let add = [
        "endpoints",
        "add",
        "https://a.example",
        "--server",
        &served.url,
        "--key",
        key,
    ];
    place.run(&add).await.fails(5, "endpoints:write");
    let listed = place.remote(&served, &["keys", "list"]).await.well().out;
    assert!(listed.contains(id) && !listed.contains(key), "{listed}");
    place
        .remote(&served, &["keys", "revoke", id, "--yes"])
        .await
        .well();
    place.run(&list).await.fails(5, "key");
    let secret = place.run(&["keys", "endpoint-secret"]).await.well().out;
    let add = [
        "endpoints",
        "add",
        "https://a.example",
        "--id",
        "a",
        "--secret-file",
        "secret",
    ];
    place.write("secret", &secret);
    let added = place.remote(&served, &add).await.well();
    assert!(!added.out.contains(secret.trim()), "{added:?}");
    let pair = place
        .run(&["keys", "endpoint-secret", "--ed25519", "--json"])
        .await
        .well()
        .json();
    assert!(
        pair["secret"].as_str().unwrap().starts_with("whsk_"),
        "{pair}"
    );
    place
        .run(&["keys", "encryption", "--id", "a b"])
        .await
        .fails(2, "id");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_with_encrypted_credentials_needs_their_key() {
    let place = Place::new();
    let key = place.run(&["keys", "encryption"]).await.well().out;
    let add = [
        "endpoints",
        "add",
        "https://a.example",
        "--id",
        "a",
        "--secret-file",
        "secret",
    ];
    place.write("secret", MARKER);
    let mut command = place.command();
    command.args(add).args(["--storage", "sqlite:webhooks.db"]);
    said(command.env("WEBHOOKS_ENCRYPTION_KEYS", key.trim()))
        .await
        .well();
    for file in std::fs::read_dir(place.path()).unwrap() {
        let path = file.unwrap().path();
        let is_of_storage = path.to_string_lossy().contains("webhooks.db");
        let bytes = std::fs::read(&path).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(
            !is_of_storage || !text.contains(MARKER),
            "{}",
            path.display()
        );
    }
    let without = place.local(&["endpoints", "list"]).await;
    without.fails(1, "not among those given");
}
