//! Exports, over real sockets and on a real file.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed expectation here is a failed test"
)]

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use better_auth_webhooks::storage::SqliteStorage;
use better_auth_webhooks::storage::sqlite::rusqlite::Connection;
use better_auth_webhooks::{OutgoingEvent, WebhookSystem};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use support::{Caller, File, Running, start, start_on};
use webhooks_server::{Scope, Scopes};

const EXPORT: &str = "/api/v1/deliveries/export";

async fn on_file(file: &Path) -> Running {
    let storage = SqliteStorage::open(file).await.unwrap();
    // Nothing goes out: what waits does not change under an export.
    start_on(WebhookSystem::builder().workers(0), storage).await
}

/// Sends so many events with this data for a tenant, each to its endpoint.
async fn fill(server: &Running, tenant: &str, events: usize, data: &str) {
    let endpoint = format!("{tenant}-endpoint");
    let root = server.root();
    root.endpoint(&endpoint, "http://127.0.0.1:1/", Some(tenant))
        .await;
    for from in (0..events).step_by(500) {
        let event = |n: usize| {
            OutgoingEvent::new("a.b")
                .tenant(tenant)
                .data(format!("{tenant}-data-{n}-{data}"))
        };
        let batch = (from..events.min(from + 500)).map(event);
        let sent = server.system.send_batch(batch).await.unwrap();
        assert!(sent.iter().all(Result::is_ok));
    }
}

/// The rows of NDJSON, and whether it says that they are all.
fn rows(text: &str) -> (Vec<Value>, bool) {
    let mut lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let trailer = lines.pop().unwrap();
    (lines, trailer["complete"].as_bool().unwrap())
}

#[tokio::test]
async fn ten_thousand_rows_of_a_file_come_whole_and_a_tenant_has_its_own() {
    let file = File::new("rows");
    let server = on_file(&file.0).await;
    fill(&server, "a", 6_000, "").await;
    fill(&server, "b", 4_000, "").await;
    let whole = server.root().get(EXPORT).await;
    assert_eq!(whole.status, 200, "{}", whole.text);
    assert_eq!(whole.header("content-type"), "application/x-ndjson");
    assert!(
        whole
            .header("content-disposition")
            .starts_with("attachment")
    );
    let (whole, complete) = rows(&whole.text);
    assert!(complete);
    let ids: BTreeSet<_> = whole
        .iter()
        .map(|row| row["id"].as_str().unwrap())
        .collect();
    assert_eq!((whole.len(), ids.len()), (10_000, 10_000));
    assert!(whole.iter().all(|row| row.get("payload").is_none()));

    let scopes = Vec::from(Scopes::of_tenants());
    let tenant = server.caller(&scopes, Some("b")).await;
    for (format, lines) in [("ndjson", 4_001), ("csv", 4_001)] {
        let path = format!("{EXPORT}?format={format}&include=attempts,payload");
        let own = tenant.get(&path).await.text;
        assert_eq!(own.lines().count(), lines, "{format}");
        assert!(
            own.contains("b-data-3999-") && !own.contains("a-data") && !own.contains("a-endpoint")
        );
    }
    let theirs = tenant
        .get(&format!("{EXPORT}?endpoint_id=a-endpoint"))
        .await;
    assert_eq!(theirs.text, "{\"complete\":true}\n");
    // A filter chooses here as it does in a listing.
    let none = server.root().get(&format!("{EXPORT}?state=dead")).await;
    assert_eq!(none.text, "{\"complete\":true}\n");
}

#[tokio::test]
async fn a_cell_that_a_spreadsheet_would_run_is_text() {
    let server = start().await;
    server
        .root()
        .endpoint("ep", "http://127.0.0.1:1/", None)
        .await;
    let event = json!({ "type": "a.b", "tenant": "=HYPERLINK(1)", "data": "x,\"y\"\nz" });
    let sent = server.root().post("/api/v1/events", &event).await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    let path = format!("{EXPORT}?format=csv&include=payload&include=attempts");
    let csv = server.root().get(&path).await;
    assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
    let (head, row) = csv.text.split_once("\r\n").unwrap();
    assert!(
        head.starts_with("id,event_id,event_type,endpoint_id,tenant,"),
        "{head}"
    );
    assert!(head.ends_with(",attempts,payload"), "{head}");
    assert!(row.contains(",'=HYPERLINK(1),"), "{row}");
    assert!(row.contains(r#"""x,\""y\""\nz"""#), "{row}");
}

#[tokio::test]
async fn what_cannot_be_exported_is_refused_before_anything_is_sent() {
    let server = start().await;
    let reader = server.caller(&[Scope::DeliveriesRead], None).await;
    reader
        .get(&format!("{EXPORT}?include=payload"))
        .await
        .is_problem(403, "scope-missing");
    for query in [
        "include=all",
        "format=xml",
        "stat=dead",
        "from=today",
        "include=",
    ] {
        let refused = reader.get(&format!("{EXPORT}?{query}")).await;
        refused.is_problem(400, "malformed");
    }
    let none = reader.get(EXPORT).await;
    assert_eq!(none.text, "{\"complete\":true}\n");
}

/// Begins an export whose rows are more than sockets hold.
async fn begin(caller: &Caller, format: &str) -> Response {
    let path = format!("{EXPORT}?include=payload&format={format}");
    caller.request(Method::GET, &path).send().await.unwrap()
}

/// Bytes of data of an event that is large.
const LARGE: usize = 32 << 10;

#[tokio::test]
async fn who_reads_an_export_is_told_that_the_storage_has_failed() {
    let file = File::new("fails");
    let server = on_file(&file.0).await;
    fill(&server, "a", 1_000, &"x".repeat(LARGE)).await;
    let root = server.root();
    let (ndjson, csv) = (begin(&root, "ndjson").await, begin(&root, "csv").await);
    assert_eq!(
        (ndjson.status().as_u16(), csv.status().as_u16()),
        (200, 200)
    );
    let other = Connection::open(&file.0).unwrap();
    other
        .execute_batch("ALTER TABLE webhook_queue RENAME TO elsewhere")
        .unwrap();
    let (read, complete) = rows(&ndjson.text().await.unwrap());
    assert!(!complete && !read.is_empty() && read.len() < 1_000);
    assert!(
        csv.text().await.is_err(),
        "a file that ends early is broken off"
    );
}

#[tokio::test]
async fn an_export_ends_with_its_client_and_with_the_server() {
    let file = File::new("ends");
    let server = on_file(&file.0).await;
    fill(&server, "a", 1_000, &"x".repeat(LARGE)).await;
    let scopes = Vec::from(Scopes::of_tenants());
    let tenant = server.caller(&scopes, Some("a")).await;
    let (first, second) = (begin(&tenant, "csv").await, begin(&tenant, "ndjson").await);
    tenant.get(EXPORT).await.is_problem(503, "busy");
    // It gives its place back.
    drop(first);
    for tries in 0.. {
        if tenant.get(&format!("{EXPORT}?state=dead")).await.status == 200 {
            break;
        }
        assert!(tries < 500, "the place is never free again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    server.closer.close();
    let (read, complete) = rows(&second.text().await.unwrap());
    assert!(!complete && read.len() < 1_000);
}
