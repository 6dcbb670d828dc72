//! What is not counted but looked at.

use std::time::Duration;

use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;
use webhooks_core::storage::Counts;
use webhooks_core::{CircuitState, ClusterSnapshot, ProcessSnapshot, Snapshot};

use crate::labels::State;

/// A registry of what a snapshot shows. What it does not know has no series: zero would be a claim.
pub(crate) fn registry_of(snapshot: &Snapshot) -> Registry {
    let mut registry = Registry::default();
    add_process(&mut registry, &snapshot.process);
    if let Some(cluster) = &snapshot.cluster {
        add_cluster(&mut registry, cluster);
    }
    registry
}

fn add_process(to: &mut Registry, process: &ProcessSnapshot) {
    let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let numbers = [
        (
            "requests_in_flight",
            "Requests in flight",
            process.requests_in_flight,
        ),
        (
            "requests_in_flight_limit",
            "Requests in flight at most",
            process.requests_limit,
        ),
        (
            "deliveries_in_hand",
            "Requests that what is leased and not settled takes",
            process.deliveries_in_hand,
        ),
        (
            "commit_queue_bytes",
            "Bytes of events that wait for their commit",
            process.commit_queue_bytes,
        ),
    ];
    for (name, help, number) in numbers {
        gauge(to, name, help, count(number));
    }
    if let Some(age) = process.beat_age {
        let help = "Time since the last beat that the storage took began";
        seconds(to, "beat_age_seconds", help, age);
    }
    let circuits = CircuitState::ALL.iter().zip(process.circuits);
    let circuits = circuits.map(|(state, number)| (state.as_str(), count(number)));
    let help = "Endpoints by their circuit, as this process sees it";
    by_state(to, "circuits", help, circuits);
    let states = process.endpoints.by_name().into_iter();
    let states = states.map(|(state, number)| (state, count(number)));
    let help = "Endpoints by what lets their deliveries through";
    by_state(to, "endpoints", help, states);
}

fn add_cluster(to: &mut Registry, cluster: &ClusterSnapshot) {
    let Counts {
        enqueued,
        delivered,
        dead,
        cancelled,
        purged,
        blocked,
        ready,
        scheduled,
        leased,
        suspended,
        ..
    } = cluster.counts;
    let queue = [
        ("blocked", blocked),
        ("ready", ready),
        ("scheduled", scheduled),
        ("leased", leased),
    ];
    let help = "Deliveries that wait or are leased, of all processes";
    by_state(to, "queue_deliveries", help, queue);
    let help = "Of those that wait, how many do so for an endpoint that is disabled or paused";
    gauge(to, "queue_suspended_deliveries", help, suspended);
    gauge(
        to,
        "dead_letters",
        "Deliveries in the dead letter queue",
        dead,
    );
    let help = "How long the longest waiting ready delivery has been due, 0 if none is ready";
    seconds(to, "oldest_ready_age_seconds", help, cluster.oldest_ready);
    let ended = [("delivered", delivered), ("cancelled", cancelled)];
    let help = "Deliveries that ended so and were not sent again, ever";
    by_state(to, "stored_deliveries", help, ended);
    counter(to, "stored_enqueued", "Deliveries made, ever", enqueued);
    counter(to, "stored_purged", "Dead letters purged, ever", purged);
}

fn gauge(to: &mut Registry, name: &str, help: &str, number: u64) {
    let number = i64::try_from(number).unwrap_or(i64::MAX);
    to.register(format!("webhooks_{name}"), help, ConstGauge::new(number));
}

fn counter(to: &mut Registry, name: &str, help: &str, number: u64) {
    to.register(format!("webhooks_{name}"), help, ConstCounter::new(number));
}

fn seconds(to: &mut Registry, name: &str, help: &str, time: Duration) {
    let time = ConstGauge::new(time.as_secs_f64());
    to.register(format!("webhooks_{name}"), help, time);
}

fn by_state(
    to: &mut Registry,
    name: &str,
    help: &str,
    numbers: impl IntoIterator<Item = (&'static str, u64)>,
) {
    let family: Family<State, Gauge> = Family::default();
    for (state, number) in numbers {
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        family.get_or_create(&State { state }).set(number);
    }
    to.register(format!("webhooks_{name}"), help, family);
}
