//! Events, deliveries, dead letters, jobs and numbers from the command line, as processes.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed expectation here is a failed test"
)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::Value;
use support::{KEY, Place, Served, said};
use tokio::io::{AsyncBufReadExt, BufReader};
use webhooks_tests::{Receiver, Response};

/// A receiver that refuses for good, until its status is another one.
async fn refusing() -> (Receiver, Arc<AtomicU16>) {
    let status = Arc::new(AtomicU16::new(400));
    let answer = status.clone();
    let script = move |_: &_, _| Response::Status(answer.load(Ordering::SeqCst));
    (Receiver::start(script).await, status)
}

/// Events to one endpoint, each of which is given up.
async fn give_up(place: &Place, served: &Served, receiver: &Receiver, events: usize) {
    let add = ["endpoints", "add", &receiver.url(), "--id", "ep"];
    place.remote(served, &add).await.well();
    let lines: String = (0..events)
        .map(|of| format!("{{\"data\":{{\"n\":{of}}},\"max_retries\":0}}\n"))
        .collect();
    place.write("events.ndjson", &lines);
    let send = ["send", "a.b", "--ndjson", "events.ndjson"];
    place.remote(served, &send).await.well();
    while dead(place, served).await != events as u64 {
        tokio::task::yield_now().await;
    }
}

/// How many dead letters there are.
async fn dead(place: &Place, served: &Served) -> u64 {
    let count = ["deliveries", "count", "--state", "dead", "--json"];
    let said = place.remote(served, &count).await.well();
    said.json()["count"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_is_listed_counted_and_shown() {
    let (place, (receiver, _)) = (Place::new(), refusing().await);
    let served = place.serve().await;
    give_up(&place, &served, &receiver, 3).await;
    let listed = place
        .remote(&served, &["deliveries", "list"])
        .await
        .well()
        .out;
    assert_eq!(listed.lines().count(), 3, "{listed}");
    let first: Vec<_> = listed.lines().next().unwrap().split('\t').collect();
    assert_eq!(first[1..6], ["dead", "ep", "a.b", "1", "400"]);
    let shown = ["deliveries", "get", first[0]];
    let shown = place.remote(&served, &shown).await.well().out;
    assert!(
        shown.contains("dead_reason\tattempts_exhausted\n"),
        "{shown}"
    );
    assert!(shown.contains("log\t#1 400 "), "{shown}");
    let events = ["events", "list", "--since", "1h", "--json"];
    let events = place.remote(&served, &events).await.well().out;
    let event: Value = serde_json::from_str(events.lines().next().unwrap()).unwrap();
    let payload = ["events", "payload", event["id"].as_str().unwrap()];
    let payload = place.remote(&served, &payload).await.well().json();
    assert!(payload["data"]["n"].as_u64().unwrap() < 3, "{payload}");
    for command in [
        &["deliveries", "count", "--type", "a.*", "--status", "4xx"][..],
        &["deliveries", "list", "--data", r#"{"n":1}"#, "--json"],
        &["deliveries", "get", "delivery_none"],
        &["dead-letters", "list", "--endpoint", "ep"],
        &["dead-letters", "groups"],
        &["dead-letters", "list", "--state", "ready"],
        &["events", "get", event["id"].as_str().unwrap()],
        &["jobs", "list"],
        &["jobs", "get", "job_none"],
        &["stats", "--by-endpoint"],
    ] {
        let (remote, local) = (
            place.remote(&served, command).await,
            place.local(command).await,
        );
        assert_eq!(remote.out, local.out, "{command:?}");
        assert_eq!(remote.err, local.err, "{command:?}");
        assert_eq!(remote.code, local.code, "{command:?}");
    }
    let groups = ["dead-letters", "groups", "--by", "dead_reason"];
    let groups = place.remote(&served, &groups).await.well().out;
    assert_eq!(groups, "3\t\tattempts_exhausted\t\t\n");
    // A process writes its numbers every 10 s.
    let sent = async || -> u64 {
        let stats = place.remote(&served, &["stats"]).await.well().out;
        let sent = stats.lines().map(|of| of.split('\t').nth(2).unwrap());
        sent.map(|of| of.parse::<u64>().unwrap()).sum()
    };
    while sent().await != 3 {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_of_a_filter_are_replayed_and_arrive() {
    let (place, (receiver, status)) = (Place::new(), refusing().await);
    let served = place.serve().await;
    give_up(&place, &served, &receiver, 3).await;
    status.store(200, Ordering::SeqCst);
    let replay = ["dead-letters", "replay", "--endpoint", "ep"];
    let dry = place
        .remote(&served, &[&replay[..], &["--dry-run"]].concat())
        .await
        .well();
    assert!(dry.out.contains("matched\t3\n"), "{dry:?}");
    let asked = place.remote(&served, &replay).await;
    asked.fails(
        2,
        "Replay 3 dead letters to the endpoint ep? Say so with --yes",
    );
    for wrong in [
        &["dead-letters", "replay", "--yes"][..],
        &["dead-letters", "purge", "--yes"],
        &["dead-letters", "purge", "--yes", "--all", "--type", "a.b"],
        &["dead-letters", "purge", "--yes", "--state", "delivered"],
        &["dead-letters", "purge", "--yes", "x", "--type", "a.b"],
        &["dead-letters", "purge", "--all"],
    ] {
        assert_eq!(
            place.remote(&served, wrong).await.code,
            Some(2),
            "{wrong:?}"
        );
    }
    assert_eq!(receiver.count(), 3);
    assert_eq!(dead(&place, &served).await, 3);
    let replayed = place
        .remote(&served, &[&replay[..], &["--yes", "--json"]].concat())
        .await
        .well()
        .json();
    assert_eq!(replayed["state"], "done");
    assert_eq!(replayed["changed"], 3);
    receiver.wait_for(6).await;
    let watch = ["jobs", "watch", replayed["id"].as_str().unwrap()];
    let watched = place.remote(&served, &watch).await.well().out;
    assert!(watched.contains("state\tdone\n"), "{watched}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_on_a_storage_ends_with_its_job_and_spares_the_rest() {
    let (place, (receiver, status)) = (Place::new(), refusing().await);
    let served = place.serve().await;
    give_up(&place, &served, &receiver, 2).await;
    status.store(200, Ordering::SeqCst);
    let send = ["send", "a.b", "--wait", "30s"];
    place.remote(&served, &send).await.well();
    drop(served);
    let listed = ["dead-letters", "list"];
    let listed = place.local(&listed).await.well().out;
    let one = listed.split('\t').next().unwrap();
    place
        .local(&["dead-letters", "purge", one])
        .await
        .fails(2, "--yes");
    place
        .local(&["dead-letters", "purge", one, "--yes"])
        .await
        .well();
    let purge = ["dead-letters", "purge", "--all", "--yes", "--json"];
    let purged = place.local(&purge).await.well().json();
    assert_eq!(purged["state"], "done");
    assert_eq!(purged["changed"], 1);
    let left = place.local(&["deliveries", "list"]).await.well().out;
    assert_eq!(left.lines().count(), 1, "{left}");
    assert!(left.contains("\tdelivered\t"), "{left}");
    place
        .local(&["deliveries", "tail"])
        .await
        .fails(2, "--server");
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_leaves_a_job_and_a_second_one_stops_it() {
    use rustix::process::{Pid, Signal, kill_process};
    let (place, (receiver, status)) = (Place::new(), refusing().await);
    let served = place.serve().await;
    give_up(&place, &served, &receiver, 60).await;
    status.store(200, Ordering::SeqCst);
    let mut ended = Vec::new();
    for stops in [false, true] {
        let mut command = place.command();
        command.args(["dead-letters", "replay", "--all", "--yes", "--rate", "1"]);
        command.args(["--server", &served.url]);
        let mut child = command.env("WEBHOOKS_KEY", KEY).spawn().unwrap();
        let pid = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let goes_on = lines.next_line().await.unwrap().unwrap();
        let id = goes_on.strip_suffix(" goes on").expect(&goes_on).to_owned();
        kill_process(pid, Signal::INT).unwrap();
        let detached = lines.next_line().await.unwrap().unwrap();
        assert!(detached.contains(&format!("jobs watch {id}")), "{detached}");
        if stops {
            kill_process(pid, Signal::INT).unwrap();
        }
        ended.push((id, child.wait().await.unwrap().code()));
    }
    let state = async |id: &str| {
        let said = place.remote(&served, &["jobs", "get", id, "--json"]).await;
        said.well().json()["state"].as_str().unwrap().to_owned()
    };
    let [(left, detached), (stopped, code)] = &ended[..] else {
        panic!("{ended:?}");
    };
    assert_eq!((*detached, *code), (Some(130), Some(1)));
    assert_eq!(state(left).await, "running");
    assert_eq!(state(stopped).await, "stopped");
    place.remote(&served, &["jobs", "stop", left]).await.well();
    place
        .remote(&served, &["jobs", "watch", left])
        .await
        .fails(1, "is stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_has_all_rows_as_the_server_wrote_them() {
    let (place, (receiver, _)) = (Place::new(), refusing().await);
    let served = place.serve().await;
    give_up(&place, &served, &receiver, 450).await;
    let export = ["deliveries", "export", "--state", "dead"];
    let (remote, local) = (
        place.remote(&served, &export).await.well().out,
        place.local(&export).await.well().out,
    );
    assert_eq!(remote, local);
    let id = |line: &str| serde_json::from_str::<Value>(line).unwrap()["id"].to_string();
    let (rows, trailer) = remote.trim_end().rsplit_once('\n').unwrap();
    assert_eq!(trailer, r#"{"complete":true}"#);
    let mut ids: Vec<_> = rows.lines().map(id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 450);
    let csv = [&export[..], &["--format", "csv"]].concat();
    let csv = place.remote(&served, &csv).await.well().out;
    assert_eq!(csv.lines().count(), 451);
    let wide = [&export[..], &["--include", "attempts,payload"]].concat();
    let wide = place.remote(&served, &wide).await.well().out;
    let row: Value = serde_json::from_str(wide.lines().next().unwrap()).unwrap();
    assert_eq!(row["attempts"][0]["status"], 400);
    assert!(row["payload"]["data"]["n"].is_u64(), "{row}");
    let mut command = place.command();
    command.args(export).args(["--server", &served.url]);
    let mut child = command.env("WEBHOOKS_KEY", KEY).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next_line().await.unwrap().is_some());
    drop(lines);
    let output = child.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_tells_what_becomes_of_deliveries() {
    let (place, (receiver, _)) = (Place::new(), refusing().await);
    let served = place.serve().await;
    let mut command = place.command();
    command.args(["deliveries", "tail", "--json", "--state", "dead", "-v"]);
    command.args(["--server", &served.url]);
    let mut child = command.env("WEBHOOKS_KEY", KEY).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let add = ["endpoints", "add", &receiver.url(), "--id", "ep"];
    place.remote(&served, &add).await.well();
    place.write("dies.ndjson", "{\"max_retries\":0}\n");
    // It listens from some time on: something dies until it has heard of one.
    let heard = loop {
        let send = ["send", "a.b", "--ndjson", "dies.ndjson"];
        place.remote(&served, &send).await.well();
        tokio::select! {
            line = lines.next_line() => break line.unwrap().unwrap(),
            () = tokio::time::sleep(std::time::Duration::from_millis(200)) => {}
        }
    };
    let heard: Value = serde_json::from_str(&heard).unwrap();
    assert_eq!(heard["notice"], "dead");
    assert_eq!(heard["delivery"]["endpoint_id"], "ep");
    assert_eq!(heard["reason"], "attempts_exhausted");
    let elsewhere = ["deliveries", "tail", "--server", &receiver.url()];
    place.run(&elsewhere).await.fails(4, "400");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_waits_is_cancelled_and_sent_again() {
    let (place, receiver) = (Place::new(), Receiver::responding(200).await);
    let served = place.serve().await;
    let add = ["endpoints", "add", &receiver.url(), "--id", "ep"];
    place.remote(&served, &add).await.well();
    let send = ["send", "a.b", "--delay", "1h", "--json"];
    let sent = place.remote(&served, &send).await.well().json();
    let id = sent["deliveries"][0].as_str().unwrap();
    let cancelled = place.remote(&served, &["deliveries", "cancel", id]).await;
    assert!(cancelled.well().out.contains("state\tcancelled\n"));
    place
        .remote(&served, &["deliveries", "cancel", id])
        .await
        .fails(7, id);
    assert_eq!(receiver.count(), 0);
    let resend = ["deliveries", "resend", id];
    place.remote(&served, &resend).await.well();
    receiver.wait_for(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_fails_where_credentials_cannot_be_read() {
    let place = Place::new();
    let key = place
        .run(&["keys", "encryption", "--id", "a"])
        .await
        .well()
        .out;
    let newer = place
        .run(&["keys", "encryption", "--id", "b"])
        .await
        .well()
        .out;
    let with = async |keys: String, arguments: &[&str]| {
        let mut command = place.command();
        command
            .args(arguments)
            .args(["--storage", "sqlite:webhooks.db"]);
        said(command.env("WEBHOOKS_ENCRYPTION_KEYS", keys)).await
    };
    let (old, both) = (
        key.trim().to_owned(),
        format!("{},{}", newer.trim(), key.trim()),
    );
    let add = ["endpoints", "add", "https://a.example", "--id", "ep"];
    with(old.clone(), &add).await.well();
    let fine = with(old.clone(), &["check"]).await.well().out;
    assert!(fine.contains("ok\tstorage\t"), "{fine}");
    let wrong = with(newer.trim().to_owned(), &["check"]).await;
    // Nothing is opened with keys that cannot read what is there.
    wrong.fails(1, "is not among those given");
    let moved = with(both, &["reencrypt", "--json"]).await.well().json();
    assert_eq!(moved["endpoints"], 1);
    with(newer.trim().to_owned(), &["check"]).await.well();
    let late = with(old, &["check"]).await;
    late.fails(1, "is not among those given");
}
