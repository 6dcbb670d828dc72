//! L4: the bare statements that deliveries in a file cannot do without, in our row widths, 100
//! deliveries in one commit: the event with its payload and the row of the delivery; then the row's
//! end and the line of the attempt. There is no index but the primary keys and the ids.

use std::path::{Path, PathBuf};

use better_auth_webhooks::DeliveryId;
use better_auth_webhooks::storage::sqlite::rusqlite::{Connection, params};

use crate::Result;
use crate::load::{new_event, now};
use crate::measure::{Reached, Stopwatch};

const ROWS: usize = 100;
const DELIVERIES: usize = 20_000;

const TABLES: &str = "
    DROP TABLE IF EXISTS limit_events; DROP TABLE IF EXISTS limit_queue;
    DROP TABLE IF EXISTS limit_attempts;
    CREATE TABLE limit_events (seq INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, event_type TEXT,
        created_at INTEGER, due_at INTEGER, priority INTEGER, max_retries INTEGER, payload BLOB)
        STRICT;
    CREATE TABLE limit_queue (seq INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, event INTEGER,
        endpoint INTEGER, incarnation INTEGER, state INTEGER, priority INTEGER, sort_key INTEGER,
        sent_at INTEGER, due_at INTEGER, updated_at INTEGER, token INTEGER, attempts INTEGER,
        max_retries INTEGER, crashes INTEGER, worker INTEGER) STRICT;
    CREATE TABLE limit_attempts (seq INTEGER PRIMARY KEY, delivery INTEGER, number INTEGER,
        started_at INTEGER, duration_us INTEGER, status INTEGER, ambiguous INTEGER) STRICT;";
const EVENT: &str = "INSERT INTO limit_events (id, event_type, created_at, due_at, priority,
    max_retries, payload) VALUES (?1, 'user.created', ?2, ?2, 1, 11, ?3)";
const STORE: &str = "INSERT INTO limit_queue (id, event, endpoint, incarnation, state, priority,
    sort_key, sent_at, due_at, updated_at, token, attempts, max_retries, crashes, worker)
    VALUES (?1, last_insert_rowid(), 1, 1, 3, 1, ?2, ?2, ?2, ?2, 1, 0, 11, 0, 1)";
const END: &str = "UPDATE limit_queue SET state = 4, updated_at = ?2, attempts = 1, worker = NULL
    WHERE id = ?1";
const LOG: &str = "INSERT INTO limit_attempts (delivery, number, started_at, duration_us, status,
    ambiguous) VALUES (?1, 1, ?2, 20000, 204, 0)";

pub(crate) async fn run(folder: &str) -> Result<Reached> {
    let path = Path::new(folder).join("limit.db");
    tokio::task::spawn_blocking(move || work(path)).await?
}

fn work(path: PathBuf) -> Result<Reached> {
    let db = Connection::open(path)?;
    db.pragma_update(None, "journal_mode", "wal")?;
    db.pragma_update(None, "synchronous", "full")?;
    db.execute_batch(TABLES)?;
    let event = new_event("endpoint_1", false)?.event;
    let watch = Stopwatch::start()?;
    for _ in 0..DELIVERIES / ROWS {
        let ids = [(); ROWS].map(|()| DeliveryId::new(now()).as_uuid().into_bytes());
        let now = now().as_millis();
        db.execute_batch("BEGIN IMMEDIATE")?;
        for id in &ids {
            let event = params![id, now, &event.payload[..]];
            db.prepare_cached(EVENT)?.execute(event)?;
            db.prepare_cached(STORE)?.execute(params![id, now])?;
        }
        db.execute_batch("COMMIT; BEGIN IMMEDIATE")?;
        for (n, id) in (1_i64..).zip(&ids) {
            db.prepare_cached(END)?.execute(params![id, now])?;
            db.prepare_cached(LOG)?.execute(params![n, now])?;
        }
        db.execute_batch("COMMIT")?;
    }
    watch.end(DELIVERIES)
}
