//! Several processes on one file, some of which are killed.
//!
//! The processes are this test program itself, started again for the one test that does their work.

#![expect(clippy::unwrap_used, reason = "these are helpers of tests")]

mod support;

use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use support::events::{claim, delivered, endpoint, event};
use support::{fresh_path, remove};
use webhooks_core::storage::{Deleted, DeliveryQuery, Expected, WebhookStorage};
use webhooks_core::{DeliveryState, RateLimitConfig, WorkerId};
use webhooks_storage_sqlite::SqliteStorage;

/// The file of a started process, and what it is to do.
const FILE: &str = "WEBHOOKS_SQLITE_TEST_FILE";
const ROLE: &str = "WEBHOOKS_SQLITE_TEST_ROLE";

fn start(path: &Path, role: &str) -> Child {
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new(program);
    command.args(["--exact", "a_started_process_does_its_work", "--nocapture"]);
    command.env(FILE, path).env(ROLE, role);
    command.stdout(Stdio::piped()).spawn().unwrap()
}

/// What a process has said, line by line.
fn said(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.map_while(Result::ok).filter_map(|line| {
        let (_, said) = line.split_once("said:")?;
        Some(said.to_owned())
    })
}

/// Does what the environment says, in a process that one of the tests below has started. Without one
/// there is nothing to do.
#[tokio::test(flavor = "multi_thread")]
async fn a_started_process_does_its_work() {
    let (Ok(path), Ok(role)) = (std::env::var(FILE), std::env::var(ROLE)) else {
        return;
    };
    let storage = SqliteStorage::open(&path).await.unwrap();
    let now = storage.beat(None, None).await.unwrap().now;
    match role.as_str() {
        // Until it is killed.
        "sends for ever" => loop {
            let new = event("a", b"1", now);
            storage
                .enqueue(std::slice::from_ref(&new), None, now)
                .await
                .unwrap();
            println!("said:{}", new.event.id);
        },
        "sends 200" => {
            for _ in 0..200 {
                let new = event("a", b"1", now);
                storage
                    .enqueue(std::slice::from_ref(&new), None, now)
                    .await
                    .unwrap();
                println!("said:{}", new.event.id);
            }
        }
        "delivers" => {
            let worker = WorkerId::unique();
            while storage.counts(None).await.unwrap().delivered < 200 {
                let claimed = storage
                    .claim(&claim(&worker, 5, now))
                    .await
                    .unwrap()
                    .deliveries;
                let settlements: Vec<_> = claimed.iter().map(delivered).collect();
                storage.settle(&worker, &settlements, now).await.unwrap();
                for delivery in &claimed {
                    println!("said:{}", delivery.id);
                }
                if claimed.is_empty() {
                    storage.wait().await.unwrap();
                }
            }
        }
        other => unreachable!("{other}"),
    }
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_when_a_process_is_killed() {
    let path = fresh_path();
    let storage = SqliteStorage::open(&path).await.unwrap();
    storage.save_endpoint(&endpoint("a")).await.unwrap();
    let mut acknowledged = HashSet::new();
    for round in 0..5 {
        let mut child = start(&path, "sends for ever");
        acknowledged.extend(said(&mut child).take(20 + 13 * round));
        // At any point of whatever it does then. SIGKILL, so that it can clean up nothing.
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let mut query = DeliveryQuery {
        limit: 1_000,
        ..DeliveryQuery::default()
    };
    let mut stored = HashSet::new();
    loop {
        let page = storage.deliveries(&query).await.unwrap();
        stored.extend(page.items.iter().map(|r| r.delivery.event.id.to_string()));
        query.before = page.next;
        if query.before.is_none() {
            break;
        }
    }
    assert!(
        acknowledged.is_subset(&stored),
        "{}",
        acknowledged.difference(&stored).count()
    );
    let counts = storage.counts(None).await.unwrap();
    assert_eq!(counts.enqueued, stored.len() as u64);
    let check: String = support::client(&path)
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(check, "ok");
    drop(storage);
    remove(&path);
}

#[tokio::test]
async fn processes_share_everything_once() {
    let path = fresh_path();
    let storage = SqliteStorage::open(&path).await.unwrap();
    storage.save_endpoint(&endpoint("a")).await.unwrap();
    let roles = ["sends 200", "delivers", "delivers"];
    let mut children: Vec<_> = roles.iter().map(|role| start(&path, role)).collect();
    let lines: Vec<Vec<String>> = children
        .iter_mut()
        .map(|child| said(child).collect())
        .collect();
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    let delivered: Vec<_> = lines.iter().skip(1).flatten().collect();
    let unique: HashSet<_> = delivered.iter().collect();
    assert_eq!((delivered.len(), unique.len()), (200, 200), "each one once");
    let counts = storage.counts(None).await.unwrap();
    assert_eq!(
        (counts.enqueued, counts.delivered, counts.waiting()),
        (200, 200, 0)
    );
    drop(storage);
    remove(&path);
}

#[tokio::test]
async fn a_change_of_another_process_is_seen_at_once() {
    let path = fresh_path();
    let one = SqliteStorage::open(&path).await.unwrap();
    let other = SqliteStorage::open(&path).await.unwrap();
    let now = one.beat(None, None).await.unwrap().now;
    one.save_endpoint(&endpoint("a")).await.unwrap();
    other
        .enqueue(&[event("a", b"1", now)], None, now)
        .await
        .unwrap();
    // Each remembers the endpoint now. The one deletes it; the other must not make deliveries of it.
    let deleted = one.delete_endpoint("a", Expected::Any, now).await.unwrap();
    assert_eq!(deleted, Deleted::Deleted);
    other
        .enqueue(&[event("a", b"2", now)], None, now)
        .await
        .unwrap();
    one.enqueue(&[event("a", b"3", now)], None, now)
        .await
        .unwrap();
    for storage in [&one, &other] {
        let counts = storage.counts(None).await.unwrap();
        assert_eq!((counts.enqueued, counts.cancelled), (1, 1));
        let query = DeliveryQuery {
            states: vec![DeliveryState::Ready],
            ..DeliveryQuery::default()
        };
        assert!(storage.deliveries(&query).await.unwrap().items.is_empty());
    }
    drop((one, other));
    remove(&path);
}

#[tokio::test]
async fn processes_share_the_rate_limit_of_an_endpoint() {
    let path = fresh_path();
    let one = SqliteStorage::open(&path).await.unwrap();
    let other = SqliteStorage::open(&path).await.unwrap();
    let mut limited = endpoint("a");
    limited.rate_limit = Some(RateLimitConfig {
        requests_per_second: 2,
        burst_size: 4,
    });
    one.save_endpoint(&limited).await.unwrap();
    let now = one.beat(None, None).await.unwrap().now;
    let events: Vec<_> = (0..20).map(|_| event("a", b"1", now)).collect();
    one.enqueue(&events, None, now).await.unwrap();
    let worker = WorkerId::unique();
    let take = async |storage: &SqliteStorage, limit, after_ms| {
        let at = now.after(Duration::from_millis(after_ms));
        let claimed = storage.claim(&claim(&worker, limit, at)).await.unwrap();
        (claimed.deliveries.len(), claimed.next_due)
    };
    assert_eq!(take(&one, 3, 0).await.0, 3);
    let in_half_a_second = Some(now.after(Duration::from_millis(500)));
    assert_eq!(take(&other, 10, 0).await, (1, in_half_a_second));
    assert_eq!(take(&one, 10, 499).await, (0, in_half_a_second));
    assert_eq!(take(&other, 10, 1_000).await.0, 2);
    drop((one, other));
    remove(&path);
}
