//! A part of the suite on a real Redis Cluster of three nodes, in 16 partitions.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed expectation here is a failed test"
)]

mod support;

use std::process::{Command, Stdio};

use support::server::Server;
use support::work::{claim, endpoint, event, now};
use webhooks_core::WorkerId;
use webhooks_core::storage::WebhookStorage;
use webhooks_core::storage::spi::Enqueued;
use webhooks_storage_redis::RedisStorage;
use webhooks_storage_testkit::{Backend, Capabilities};

struct Cluster {
    url: String,
}

#[async_trait::async_trait]
impl Backend for Cluster {
    type Storage = RedisStorage;

    async fn fresh(&self) -> RedisStorage {
        support::storage(&self.url, &support::prefix(), 16).await
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            wakes: true,
            rewrites_credentials: true,
            documents: true,
            statistics: true,
        }
    }

    fn random_sequences(&self) -> u32 {
        4
    }
}

const CASES: [&str; 24] = [
    "endpoints::a_saved_endpoint_is_read_back_whole",
    "endpoints::changes_are_listed_in_pages",
    "endpoints::deleting_cancels_what_waits_and_leaves_the_rest",
    "endpoints::revisions_grow_with_every_change",
    "enqueue::an_event_makes_a_delivery_for_each_endpoint",
    "enqueue::each_event_gets_its_answer_in_order",
    "enqueue::a_key_gives_the_first_answer_back",
    "enqueue::a_key_is_forgotten_after_a_day",
    "enqueue::the_same_call_twice_stores_once",
    "enqueue::a_thousand_events_are_one_call",
    "claim::every_endpoint_has_its_turn",
    "claim::many_claimers_share_everything_once",
    "claim::the_next_due_time_is_never_too_late",
    "settle::a_thousand_outcomes_are_one_call",
    "settle::workers_settle_side_by_side",
    "beat::a_silent_workers_deliveries_come_back",
    "beat::the_third_crash_is_poison",
    "deliveries::each_filter_alone_and_all_together",
    "deliveries::pages_follow_each_other",
    "change::payloads_are_erased_everywhere",
    "counts::what_closed_endpoints_keep_back_is_suspended",
    "sweep::a_sweep_stops_at_its_limit",
    "wait::an_enqueue_wakes",
    "random::random_operations",
];

#[test]
fn a_cluster_passes_the_suite() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let servers = runtime.block_on(start());
    let url = format!("redis-cluster://127.0.0.1:{}", servers[0].port);
    runtime.block_on(uses_every_node(&url, &servers));
    for case in CASES {
        let backend = Cluster { url: url.clone() };
        webhooks_storage_testkit::run(async { backend }, case);
    }
}

/// Keys go one by one from node to node: to a script on either of the two, some are not there.
#[test]
fn while_its_slot_moves_a_partition_fails_and_loses_nothing() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let servers = start().await;
        let url = format!("redis-cluster://127.0.0.1:{}", servers[0].port);
        let storage = support::storage(&url, "moving", 1).await;
        storage.save_endpoint(&endpoint("a")).await.unwrap();
        let (at, worker) = (now(&storage).await, WorkerId::named("worker_a"));
        let send = async || storage.enqueue(&[event(&["a"], at)], None, at).await;
        assert!(matches!(
            send().await.unwrap().answers[..],
            [Enqueued::Stored { .. }]
        ));
        let slot = cli(&servers[0], &["cluster", "keyslot", "{moving:0}"]);
        let holds = |server: &&Server| cli(server, &["cluster", "countkeysinslot", &slot]) != "0";
        let (from, to) = (
            servers.iter().find(holds).unwrap(),
            servers.iter().find(|server| !holds(server)).unwrap(),
        );
        let ids = [from, to].map(|server| cli(server, &["cluster", "myid"]));
        cli(to, &["cluster", "setslot", &slot, "importing", &ids[0]]);
        cli(from, &["cluster", "setslot", &slot, "migrating", &ids[1]]);
        let moved = cli(from, &["cluster", "getkeysinslot", &slot, "100"]);
        let moved: Vec<_> = moved.lines().map(str::to_owned).collect();
        for key in moved {
            let error = send().await.unwrap_err();
            assert!(error.is_transient(), "{error:?}");
            let claimed = storage.claim(&claim(&worker, at, 10)).await;
            assert!(claimed.is_err(), "{claimed:?}");
            let port = to.port.to_string();
            let done = cli(from, &["migrate", "127.0.0.1", &port, &key, "0", "5000"]);
            assert_eq!(done, "OK");
        }
        for server in [to, from] {
            cli(server, &["cluster", "setslot", &slot, "node", &ids[1]]);
        }
        assert!(matches!(
            send().await.unwrap().answers[..],
            [Enqueued::Stored { .. }]
        ));
        let claimed = storage.claim(&claim(&worker, at, 10)).await.unwrap();
        assert_eq!(claimed.deliveries.len(), 2);
    });
}

/// What `redis-cli` answers.
fn cli(server: &Server, command: &[&str]) -> String {
    let port = server.port.to_string();
    let mut cli = Command::new("redis-cli");
    let output = cli.args(["-p", &port]).args(command).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Three nodes that know each other and serve all slots.
async fn start() -> Vec<Server> {
    let arguments = ["--cluster-enabled", "yes", "--appendonly", "yes"];
    let mut servers = Vec::new();
    for _ in 0..3 {
        servers.push(Server::start(&arguments).await);
    }
    let mut create = Command::new("redis-cli");
    create.args(["--cluster", "create"]);
    for server in &servers {
        create.arg(format!("127.0.0.1:{}", server.port));
    }
    create.args(["--cluster-replicas", "0", "--cluster-yes"]);
    let created = create.stdout(Stdio::null()).status().unwrap();
    assert!(created.success(), "redis-cli makes the cluster");
    for _ in 0..200 {
        let states = servers.iter().map(|server| {
            let port = server.port.to_string();
            let info = Command::new("redis-cli")
                .args(["-p", &port, "cluster", "info"])
                .output();
            String::from_utf8(info.unwrap().stdout).unwrap()
        });
        if states.into_iter().all(|s| s.contains("cluster_state:ok")) {
            return servers;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("the cluster does not get ready");
}

/// Endpoints are spread: every node keeps some.
async fn uses_every_node(url: &str, servers: &[Server]) {
    let storage = support::storage(url, "spread", 16).await;
    for n in 0..60 {
        let endpoint = endpoint(&format!("endpoint_{n}"));
        storage.save_endpoint(&endpoint).await.unwrap();
    }
    for server in servers {
        let port = server.port.to_string();
        let keys = Command::new("redis-cli")
            .args(["-p", &port, "--scan", "--pattern", "{spread:*}:endpoint:*"])
            .output();
        let keys = String::from_utf8(keys.unwrap().stdout).unwrap();
        assert!(keys.lines().count() > 0, "a node keeps nothing");
    }
    let changes = storage.endpoints_since(0, 100).await.unwrap();
    assert_eq!(changes.records.len(), 60);
}
