//! Every number of a scrape, after deliveries that ended in every way.

use std::sync::Arc;
use std::time::Duration;

use better_auth_webhooks::WebhookSystem;
use better_auth_webhooks::storage::{MemoryStorage, PostgresStorage, WebhookStorage};
use deadpool_postgres::{Manager, Pool, Runtime};
use futures_util::future::join_all;
use tokio_postgres::NoTls;
use webhooks_telemetry::{EndpointLabels, Telemetry};
use webhooks_tests::{Receiver, Response};

use super::openmetrics::Scrape;
use super::{SOON, builder, endpoint};

const ARRIVE: usize = 400;
const FLAKY: usize = 60;
const BROKEN: usize = 20;
const LEAVING: usize = 6;
const NOBODY: usize = 7;
const TWICE: usize = 5;
const REFUSED: usize = 3;

/// Attempts at an event that fails each time.
const TRIES: usize = 3;

struct World {
    system: WebhookSystem,
    telemetry: Arc<Telemetry>,
    well: Receiver,
    flaky: Receiver,
    broken: Receiver,
    leaving: Receiver,
}

impl World {
    async fn new(storage: impl WebhookStorage) -> Self {
        let telemetry = Telemetry::builder()
            .storage("of the test")
            .endpoint_labels(EndpointLabels::TopN(2));
        let telemetry = Arc::new(telemetry.build());
        let first_fails = |request: &webhooks_tests::Received, _| {
            let is_first = request.header("x-webhook-attempt") == "1";
            Response::Status(if is_first { 503 } else { 200 })
        };
        let later = |_: &_, _| Response::After(Duration::from_secs(3), 500);
        let world = Self {
            system: builder().observe(telemetry.clone()).build(storage),
            telemetry,
            well: Receiver::responding(204).await,
            flaky: Receiver::start(first_fails).await,
            broken: Receiver::responding(500).await,
            leaving: Receiver::start(later).await,
        };
        for (id, receiver) in [
            ("well", &world.well),
            ("flaky", &world.flaky),
            ("broken", &world.broken),
            ("leaving", &world.leaving),
        ] {
            let endpoint = endpoint(id, receiver);
            world.system.register_endpoint(endpoint).await.unwrap();
        }
        world
    }

    /// Sends so many at the same time.
    async fn send(&self, event_type: &str, count: usize) {
        let sends = (0..count).map(|n| self.system.send_webhook(event_type, n));
        for sent in join_all(sends).await {
            sent.unwrap();
        }
    }

    async fn run(&self) {
        tokio::join!(
            self.send("well.done", ARRIVE),
            self.send("flaky.done", FLAKY),
            self.send("broken.done", BROKEN),
            self.send("leaving.done", LEAVING),
            self.send("nobody.done", NOBODY),
            self.send_twice(),
        );
        for _ in 0..REFUSED {
            assert!(self.system.send_webhook("not a type", 1).await.is_err());
        }
        // Its requests run; what they come to finds no endpoint.
        self.leaving.wait_for(LEAVING).await;
        self.system.delete_endpoint("leaving").await.unwrap();
        assert!(self.system.drain(SOON).await.unwrap());
    }

    async fn send_twice(&self) {
        for n in 0..TWICE {
            for _ in 0..2 {
                let event = self.system.webhook("well.twice").data(n);
                event.idempotency_key(n.to_string()).send().await.unwrap();
            }
        }
    }

    async fn scrape(&self) -> Scrape {
        let mut text = String::new();
        let snapshot = self.system.snapshot().await.unwrap();
        self.telemetry.encode_with(&snapshot, &mut text);
        Scrape::read(&text)
    }

    fn requests(&self) -> usize {
        let all = [&self.well, &self.flaky, &self.broken, &self.leaving];
        all.into_iter().map(Receiver::count).sum()
    }

    fn connections(&self) -> usize {
        let all = [&self.well, &self.flaky, &self.broken, &self.leaving];
        all.into_iter().map(Receiver::connections).sum()
    }
}

#[track_caller]
fn check(scrape: &Scrape, expected: &[(&str, usize)]) {
    for (series, count) in expected {
        let series = format!("webhooks_{series}");
        let is_right =
            (scrape.value(&series) - f64::from(u32::try_from(*count).unwrap())).abs() < 0.5;
        assert!(
            is_right,
            "{series} is {}, not {count}",
            scrape.value(&series)
        );
    }
}

async fn every_number_is_what_was_sent_and_received(storage: impl WebhookStorage) {
    let world = World::new(storage).await;
    world.run().await;
    let scrape = world.scrape().await;
    events_and_attempts(&world, &scrape);
    ends(&scrape);
    storage_and_state(&scrape);
    single_endpoints(&scrape);
    world.system.shutdown(SOON).await.unwrap();
}

fn events_and_attempts(world: &World, scrape: &Scrape) {
    let arrived = ARRIVE + TWICE + FLAKY;
    let failed = FLAKY + TRIES * BROKEN + LEAVING;
    assert_eq!(world.requests(), arrived + failed);
    check(
        scrape,
        &[
            (
                r#"events_sent_total{outcome="stored"}"#,
                arrived + BROKEN + LEAVING,
            ),
            (r#"events_sent_total{outcome="duplicate"}"#, TWICE),
            (r#"events_sent_total{outcome="no_endpoint"}"#, NOBODY),
            (r#"events_sent_total{outcome="refused"}"#, REFUSED),
            (r#"events_sent_total{outcome="overloaded"}"#, 0),
            (r#"events_sent_total{outcome="failed"}"#, 0),
            (
                r#"attempts_total{outcome="delivered",failure="none",code="2xx"}"#,
                arrived,
            ),
            (
                r#"attempts_total{outcome="failed",failure="server_error",code="5xx"}"#,
                failed,
            ),
            (r#"attempts_not_made_total{reason="not_tried"}"#, 0),
            (r#"attempts_not_made_total{reason="cut_off"}"#, 0),
            (
                r#"attempt_duration_seconds_count{outcome="delivered"}"#,
                arrived,
            ),
            (
                r#"attempt_duration_seconds_count{outcome="failed"}"#,
                failed,
            ),
            ("start_lag_seconds_count", arrived + failed),
            (r#"connections_total{kind="new"}"#, world.connections()),
            (
                r#"connections_total{kind="reused"}"#,
                arrived + failed - world.connections(),
            ),
        ],
    );
}

fn ends(scrape: &Scrape) {
    let arrived = ARRIVE + TWICE + FLAKY;
    check(
        scrape,
        &[
            (
                r#"deliveries_ended_total{state="delivered",reason="none"}"#,
                arrived,
            ),
            (
                r#"deliveries_ended_total{state="dead",reason="attempts_exhausted"}"#,
                BROKEN,
            ),
            (
                r#"deliveries_ended_total{state="cancelled",reason="none"}"#,
                LEAVING,
            ),
            ("delivery_age_seconds_count", arrived),
            (r#"circuit_transitions_total{to="open"}"#, 0),
            ("leases_lost_total", 0),
            ("rescued_total", 0),
            ("settlements_stale_total", 0),
            ("notices_missed_total", 0),
        ],
    );
    let ended = scrape.sum("webhooks_deliveries_ended_total");
    assert!((ended - scrape.value("webhooks_stored_enqueued_total")).abs() < 0.5);
}

fn storage_and_state(scrape: &Scrape) {
    let arrived = ARRIVE + TWICE + FLAKY;
    check(
        scrape,
        &[
            (
                "commit_batch_size_sum",
                arrived + BROKEN + LEAVING + TWICE + NOBODY,
            ),
            ("stored_enqueued_total", arrived + BROKEN + LEAVING),
            ("stored_purged_total", 0),
            (r#"stored_deliveries{state="delivered"}"#, arrived),
            (r#"stored_deliveries{state="cancelled"}"#, LEAVING),
            ("dead_letters", BROKEN),
            (r#"queue_deliveries{state="ready"}"#, 0),
            (r#"queue_deliveries{state="scheduled"}"#, 0),
            (r#"queue_deliveries{state="leased"}"#, 0),
            ("queue_suspended_deliveries", 0),
            ("oldest_ready_age_seconds", 0),
            ("requests_in_flight", 0),
            ("requests_in_flight_limit", 256),
            ("deliveries_in_hand", 0),
            ("commit_queue_bytes", 0),
            (r#"endpoints{state="open"}"#, 3),
            (r#"endpoints{state="disabled"}"#, 0),
            (r#"circuits{state="closed"}"#, 3),
        ],
    );
    // What was only given back is settled, too.
    let failed = FLAKY + TRIES * BROKEN + LEAVING;
    let settled = scrape.value("webhooks_settle_batch_size_sum");
    assert!(settled >= f64::from(u32::try_from(arrived + failed).unwrap()));
    let calls = scrape.value("webhooks_commit_batch_size_count");
    let enqueues = r#"webhooks_storage_call_duration_seconds_count{call="enqueue",outcome="ok"}"#;
    assert!((calls - scrape.value(enqueues)).abs() < 0.5);
    assert!(scrape.sum("webhooks_storage_errors_total") < 0.5);
    assert!(scrape.value("webhooks_beat_age_seconds") < 10.0);
}

/// The two that had the most attempts.
fn single_endpoints(scrape: &Scrape) {
    let of = |name: &str, rest: &str| format!(r#"endpoint_{name}{{endpoint_id="{rest}}}"#);
    check(
        scrape,
        &[
            (
                &of("attempts_total", r#"well",outcome="delivered""#),
                ARRIVE + TWICE,
            ),
            (&of("attempts_total", r#"flaky",outcome="failed""#), FLAKY),
            (
                &of("deliveries_ended_total", r#"flaky",state="delivered""#),
                FLAKY,
            ),
            (&of("delivery_age_seconds_count", r#"flaky""#), FLAKY),
            (
                &of("attempt_duration_seconds_count", r#"flaky""#),
                2 * FLAKY,
            ),
        ],
    );
    let third = of("attempts_total", r#"broken",outcome="failed""#);
    assert!(!scrape.has(&format!("webhooks_{third}")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_memory_every_number_is_what_was_sent_and_received() {
    every_number_is_what_was_sent_and_received(MemoryStorage::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_every_number_is_what_was_sent_and_received() {
    let url = std::env::var("WEBHOOKS_TEST_POSTGRES_URL");
    let url = url.unwrap_or_else(|_| panic!("there is no server: cargo xtask test"));
    let manager = Manager::new(url.parse().unwrap(), NoTls);
    let pool = Pool::builder(manager).max_size(8).runtime(Runtime::Tokio1);
    let name = format!("telemetry_{:016x}", fastrand::u64(..));
    let storage = PostgresStorage::builder(pool.build().unwrap()).schema(&name);
    every_number_is_what_was_sent_and_received(storage.connect().await.unwrap()).await;
}
