//! Everything that one fault happens to: a server, workers, a receiver, and the books.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use better_auth_webhooks::storage::{Counts, DeliveryQuery, DeliveryRecord, WebhookStorage};
use better_auth_webhooks::{
    DeliveryState, NetworkPolicy, OrderBy, OutgoingEvent, WebhookEndpoint, WebhookSystem,
};
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::time::Instant;
use webhooks_tests::{Received, Receiver, Response};
use xtask::TempFolder;

use crate::cluster::NAMESPACE;
use crate::connect::connect;
use crate::eventually::eventually;
use crate::ledger::{Acknowledged, Arrivals};
use crate::server::{Kind, Server};
use crate::tally::Tally;
use crate::worker::{Order, Worker};
use crate::worker_process::{LOAD, LOADED};

/// How long what waits may take to end after a fault.
const PATIENCE: Duration = Duration::from_secs(60);

/// See the module. Dropped in this order: who uses something goes before it.
pub(crate) struct World {
    fault: &'static str,
    pub(crate) workers: Vec<Worker>,
    system: WebhookSystem,
    storage: Arc<dyn WebhookStorage>,
    receiver: Receiver,
    pub(crate) arrivals: Arc<Arrivals>,
    pub(crate) acknowledged: Arc<Acknowledged>,
    pub(crate) runtime: Runtime,
    pub(crate) server: Server,
    _folder: TempFolder,
}

impl World {
    /// A world whose receiver accepts everything at once.
    pub(crate) fn start(fault: &'static str, kind: Kind, settings: &[&str]) -> Self {
        Self::responding(fault, kind, settings, |_| Response::Status(200))
    }

    /// A world whose endpoints take every event of the workers.
    pub(crate) fn responding(
        fault: &'static str,
        kind: Kind,
        settings: &[&str],
        response: impl Fn(&Received) -> Response + Send + Sync + 'static,
    ) -> Self {
        Self::around(fault, |at| Server::start(kind, at, settings), response)
    }

    /// The same, around a server whose files are to be in the folder.
    pub(crate) fn around(
        fault: &'static str,
        server: impl FnOnce(&Path) -> Server,
        response: impl Fn(&Received) -> Response + Send + Sync + 'static,
    ) -> Self {
        let folder = TempFolder::new(fault).unwrap();
        let server = server(folder.path());
        let runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = { runtime }.worker_threads(2).enable_all().build().unwrap();
        let arrivals = Arc::new(Arrivals::default());
        let noted = arrivals.clone();
        let receiver = runtime.block_on(Receiver::start(move |request, _| {
            let response = response(request);
            noted.note(request, &response);
            response
        }));
        let url = server.url();
        let connecting = connect(server.kind(), &url, NAMESPACE, 4);
        let storage = runtime.block_on(connecting).unwrap();
        let system = {
            let _context = runtime.enter();
            let builder = WebhookSystem::builder().workers(0);
            let builder = builder.network_policy(NetworkPolicy::permissive());
            builder.build(storage.clone())
        };
        let world = Self {
            fault,
            workers: Vec::new(),
            system,
            storage,
            receiver,
            arrivals,
            acknowledged: Arc::default(),
            runtime,
            server,
            _folder: folder,
        };
        for id in LOADED {
            world.register(id, LOAD, &world.receiver.url());
        }
        world
    }

    pub(crate) fn register(&self, id: &str, events: &str, url: &str) {
        let endpoint = WebhookEndpoint {
            id: id.into(),
            url: url.into(),
            secret: "secret".into(),
            events: vec![events.into()],
            ..Default::default()
        };
        let registered = self.system.register_endpoint(endpoint);
        self.runtime.block_on(registered).unwrap();
    }

    /// Registers an endpoint that gets the events of one key one after another.
    pub(crate) fn register_ordered(&self, events: &str) {
        let endpoint = WebhookEndpoint {
            id: "ordered".into(),
            url: self.receiver.url(),
            secret: "secret".into(),
            events: vec![events.into()],
            ordering: OrderBy::Key,
            ..Default::default()
        };
        let registered = self.system.register_endpoint(endpoint);
        self.runtime.block_on(registered).unwrap();
    }

    /// Sends so many events of each key, those of a key one after another.
    pub(crate) fn send_ordered(&self, event: &str, keys: usize, each: usize) {
        for n in 0..each {
            let events = (0..keys).map(|key| {
                let event = OutgoingEvent::new(event).ordering_key(format!("key_{key}"));
                event.data(json!({ "key": key, "n": n }))
            });
            let sent = self.runtime.block_on(self.system.send_batch(events));
            for sent in sent.unwrap() {
                let ids = sent.unwrap().delivery_ids;
                self.acknowledged
                    .note(ids.iter().map(String::as_str), Duration::ZERO);
            }
        }
    }

    /// What a worker that sends so many events per second is told.
    pub(crate) fn order(&self, rate: u32) -> Order {
        Order {
            kind: self.server.kind(),
            url: self.server.url(),
            namespace: NAMESPACE.into(),
            rate,
            connections: 4,
            retry: Duration::from_millis(200),
            through: Vec::new(),
        }
    }

    /// Starts a worker.
    pub(crate) fn spawn(&self, order: &Order) -> Worker {
        Worker::start(order, self.acknowledged.clone())
    }

    /// Adds workers, and waits until they run.
    pub(crate) fn add_workers(&mut self, count: usize, order: &Order) {
        for _ in 0..count {
            let worker = self.spawn(order);
            self.workers.push(worker);
        }
        self.workers.iter().for_each(Worker::wait_until_up);
    }

    /// Sends events without a worker; their deliveries.
    pub(crate) fn send(&self, event: &str, count: usize) -> Vec<String> {
        let mut sent = Vec::new();
        for n in 0..count {
            let receipt = self.system.send_webhook(event, json!({ "n": n }));
            sent.extend(self.runtime.block_on(receipt).unwrap().delivery_ids);
        }
        self.acknowledged
            .note(sent.iter().map(String::as_str), Duration::ZERO);
        sent
    }

    /// The port of the receiver, for a name that leads to it.
    pub(crate) fn port(&self) -> u16 {
        let url = self.receiver.url();
        let port = url.rsplit(':').next().unwrap().split('/').next().unwrap();
        port.parse().unwrap()
    }

    /// The storage's counts, unless it is away.
    pub(crate) fn counts(&self) -> Option<Counts> {
        self.runtime.block_on(self.storage.counts(None)).ok()
    }

    /// Every delivery in one of these states, or all.
    pub(crate) fn deliveries(&self, states: &[DeliveryState]) -> Vec<DeliveryRecord> {
        let mut query = DeliveryQuery {
            states: states.to_vec(),
            limit: 1_000,
            ..Default::default()
        };
        let mut found = Vec::new();
        loop {
            let page = self.runtime.block_on(self.storage.deliveries(&query));
            let page = page.unwrap();
            found.extend(page.items);
            query.before = page.next;
            if query.before.is_none() {
                return found;
            }
        }
    }

    /// Waits until nothing waits any more.
    pub(crate) fn drain(&self) {
        let mut last = None;
        eventually("nothing waits any more", PATIENCE, || {
            last = self.counts();
            let is_empty = last.is_some_and(|counts| counts.waiting() == 0);
            std::thread::sleep(Duration::from_millis(100));
            is_empty
        });
    }

    /// Stops the load, waits until everything has ended, and closes the books: nothing is lost, no
    /// process has ended by itself, and the storage's numbers add up and are the receiver's.
    pub(crate) fn end(&mut self) -> Tally {
        for worker in &mut self.workers {
            assert!(worker.is_alive(), "a worker has ended by itself");
            worker.hush();
        }
        eventually("workers stop sending", PATIENCE, || {
            self.workers.iter().all(Worker::is_hushed)
        });
        self.drain();
        let dead = self.deliveries(&[DeliveryState::Dead]);
        let dead: HashSet<_> = dead.iter().map(|r| r.delivery.id.to_string()).collect();
        let mut tally = Tally::new(self.fault, &self.acknowledged, &self.arrivals, &dead);
        let unmatched: usize = self.workers.iter().map(Worker::unmatched).sum();
        assert_eq!(
            unmatched, 0,
            "events that were acknowledged without a delivery each"
        );
        tally.refused = self.workers.iter().map(Worker::refused).sum();
        self.workers.drain(..).for_each(Worker::end);
        tally
    }

    /// The storage's numbers add up.
    pub(crate) fn check_sum(&self) -> Counts {
        let counts = self.counts().unwrap();
        let ended = counts.delivered + counts.dead + counts.cancelled + counts.purged;
        assert_eq!(counts.enqueued, ended + counts.waiting(), "{counts:?}");
        counts
    }

    /// They add up, with so many dead, and are those of the receiver.
    pub(crate) fn check_counts(&self, dead: u64) {
        let counts = self.check_sum();
        assert_eq!(counts.dead, dead, "{counts:?}");
        let arrived = self.arrivals.accepted().len();
        assert_eq!(counts.delivered, arrived as u64, "{counts:?}");
    }

    /// Whether a request arrives again, and how long that took from now.
    pub(crate) fn wait_for_arrival(&self) -> Duration {
        let start = Instant::now();
        eventually("requests arrive again", PATIENCE, || {
            self.arrivals.first_after(start).is_some()
        });
        self.arrivals.first_after(start).unwrap()
    }
}

/// Lets the load run on for a while.
pub(crate) fn run_for(seconds: f64) {
    std::thread::sleep(Duration::from_secs_f64(seconds));
}
