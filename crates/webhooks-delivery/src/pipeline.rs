//! One process's way of events: from a sender into the storage, and out to the endpoints.
//!
//! Here the parts of `schedule/` and `runtime/` are joined and the tasks spawned; what they do is
//! in their own files. The order at the end matters: nothing starts any more, requests end or are
//! cut off, what came of them is stored, and only then the tasks end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde::Serialize;
use tokio::runtime::Handle;
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use webhooks_core::storage::spi::EndpointGate;
use webhooks_core::storage::{EndpointRecord, WebhookStorage};
use webhooks_core::{
    Admission, Circuit, CircuitState, Clock, EndpointStates, ProcessSnapshot, Result, SendOptions,
    Snapshot, Timestamp, Transport, WebhookError,
};

use crate::metrics::{AttemptMetrics, RefusedMetrics};
use crate::observer::Observer;
use crate::outgoing::Sent;
use crate::runtime::{
    Cluster, Driver, EndpointReader, NoticeStream, ObservedStorage, Recording, Requests, Sender,
    Statistics, StorageClock, Upkeep, Worker,
};
use crate::schedule::{Now, Scheduler};
use crate::settings::Settings;
use crate::tasks::{Parts, Task};

/// One process's way of events: from a sender into the storage, and out to the endpoints. Its
/// tasks end when it is dropped.
///
/// Its tasks begin at once, and try again where the storage is not there yet.
/// [`ready`](Self::ready), which [`send`](Self::send) calls itself, waits until endpoints were read
/// once. [`shut_down`](Self::shut_down) ends it in order. A drop ends it at once: deliveries that
/// are leased then are taken back by other processes within 20 s.
#[derive(Debug)]
pub struct Pipeline {
    settings: Settings,
    transport: Arc<dyn Transport>,
    worker: Arc<Worker>,
    driver: Arc<Driver>,
    endpoints: Arc<EndpointReader>,
    sender: Sender,
    upkeep: Arc<Upkeep>,
    recording: Arc<Recording>,
    statistics: Arc<Statistics>,
    cluster: Cluster,
    admission: Arc<dyn Admission>,
    outbox_refused: Arc<AtomicUsize>,
    /// Set by the first beat that was followed by a read of all endpoints.
    started: OnceCell<()>,
    tasks: Vec<JoinHandle<()>>,
}

/// The longest deadline, a century: the clock ends some time after it.
const MAX_DEADLINE: Duration = Duration::from_secs(100 * 365 * 86_400);
/// Between two looks at whether this process is done.
/// It costs a lock of the scheduler, and is what a shut-down may take longer than it must.
const LOOK: Duration = Duration::from_millis(1);
/// Between two times that the storage is asked whether everything is.
/// It costs the storage two calls.
const ASK: Duration = Duration::from_millis(20);

impl Pipeline {
    /// Starts the tasks of a process. The clock is the storage's, which `transport` needs.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](webhooks_core::WebhookError::InvalidConfig) that names the setting out of its bounds.
    ///
    /// # Panics
    ///
    /// Outside a Tokio runtime.
    pub fn start(
        storage: Arc<dyn WebhookStorage>,
        transport: impl FnOnce(Arc<dyn Clock>) -> Result<Arc<dyn Transport>>,
        admission: Arc<dyn Admission>,
        settings: Settings,
    ) -> Result<Self> {
        // First, so that nothing is spawned for settings that cannot work.
        settings.validate()?;
        let observer = Observer::new(settings.observer.clone());
        let storage = ObservedStorage::around(storage, &observer);
        let clock = Arc::new(StorageClock::new());
        let transport = transport(clock.clone())?;
        let runtime = Handle::current();
        let requests = Requests::new(transport.clone(), settings.clone(), runtime.clone());
        let scheduler = Scheduler::new(settings.clone(), storage.limits_rate(), admission.clone());
        let driver = Arc::new(Driver::new(scheduler, clock.clone(), requests, observer));
        let worker = Arc::new(Worker::new(storage.clone(), clock));
        let endpoints = Arc::new(EndpointReader::new(storage, driver.clone()));
        let parts = Parts {
            driver: driver.clone(),
            worker: worker.clone(),
            endpoints: endpoints.clone(),
            leases_unknown: Arc::default(),
        };
        let mut tasks = Vec::new();
        let mut spawn = |task: Task| tasks.push(runtime.spawn(task));
        let recording = parts.record(&mut spawn);
        let statistics = Arc::new(Statistics::new(driver.clone(), worker.clone()));
        spawn(Box::pin(statistics.clone().keep_telling()));
        let (sender, fan_outs) = parts.send(&settings, &mut spawn);
        let outbox_refused = Arc::default();
        let upkeep = parts.keep_up(&settings, fan_outs, &outbox_refused, &mut spawn);
        parts.claim(&settings, &mut spawn);
        Ok(Self {
            settings,
            transport,
            driver,
            endpoints,
            sender,
            upkeep,
            recording,
            statistics,
            cluster: Cluster::new(worker.clone()),
            admission,
            outbox_refused,
            worker,
            started: OnceCell::new(),
            tasks,
        })
    }

    /// Waits until the storage has answered once and all endpoints are known.
    ///
    /// Callers that wait at the same time share one try.
    ///
    /// # Errors
    ///
    /// [`StorageError`](webhooks_core::WebhookError::StorageError) when the storage fails; the next call tries again.
    pub async fn ready(&self) -> Result<()> {
        self.started
            .get_or_try_init(|| self.upkeep.first_beat())
            .await?;
        Ok(())
    }

    /// Stores an event and its deliveries; it is on its way when this returns.
    ///
    /// If the future is dropped, the event may be stored and sent all the same: a sender that has
    /// to know gives an idempotency key, and calls again.
    ///
    /// # Errors
    ///
    /// [`InvalidEvent`] for a field out of its bounds, before anything is stored;
    /// [`EndpointNotFound`] when it is for one endpoint that does not take events; [`Overloaded`],
    /// [`ShutDown`] and [`StorageError`].
    ///
    /// [`InvalidEvent`]: webhooks_core::WebhookError::InvalidEvent
    /// [`EndpointNotFound`]: webhooks_core::WebhookError::EndpointNotFound
    /// [`Overloaded`]: webhooks_core::WebhookError::Overloaded
    /// [`ShutDown`]: webhooks_core::WebhookError::ShutDown
    /// [`StorageError`]: webhooks_core::WebhookError::StorageError
    pub async fn send(
        &self,
        send: &SendOptions<'_>,
        data: &(impl Serialize + ?Sized),
    ) -> Result<Sent> {
        let ready = self.ready().await;
        ready.inspect_err(|error| self.sender.not_sent(send, error))?;
        self.sender.send(send, data).await
    }

    /// Stores several events, in one commit if that is not too large: one answer for each, in order.
    ///
    /// At most 1,000 events, which make at most a million deliveries together.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send): what concerns one event is its own answer, what concerns the
    /// storage is that of all; or, once some are stored, of those that are not.
    pub async fn send_all(
        &self,
        events: &[(SendOptions<'_>, &(impl Serialize + ?Sized))],
    ) -> Result<Vec<Result<Sent>>> {
        let not_sent = |error: &WebhookError| {
            let all = events.iter();
            all.for_each(|(send, _)| self.sender.not_sent(send, error));
        };
        self.ready().await.inspect_err(not_sent)?;
        self.sender.send_all(events).await
    }

    /// Reads endpoints that changed, so that what this process has just stored takes effect.
    ///
    /// Other processes see the change with their next beat, within a second.
    ///
    /// # Errors
    ///
    /// [`StorageError`](webhooks_core::WebhookError::StorageError) when the storage fails.
    pub async fn refresh(&self) -> Result<()> {
        self.endpoints.refresh().await
    }

    /// All endpoints that are not deleted, by id.
    #[must_use]
    pub fn endpoints(&self) -> Vec<Arc<EndpointRecord>> {
        let mut records = self.driver.look(|scheduler, _| scheduler.all_endpoints());
        records.sort_by(|a, b| a.endpoint.id.cmp(&b.endpoint.id));
        records
    }

    /// How many endpoints a tenant has.
    #[must_use]
    pub fn endpoints_of(&self, tenant: &str) -> usize {
        self.driver
            .look(|scheduler, _| scheduler.endpoints_of(tenant))
    }

    /// One endpoint.
    #[must_use]
    pub fn endpoint(&self, id: &str) -> Option<Arc<EndpointRecord>> {
        self.driver.look(|scheduler, _| scheduler.endpoint(id))
    }

    /// Storage time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.worker.now()
    }

    /// The storage.
    #[must_use]
    pub fn storage(&self) -> &Arc<dyn WebhookStorage> {
        &self.worker.storage
    }

    /// What sends requests.
    #[must_use]
    pub fn transport(&self) -> &Arc<dyn Transport> {
        &self.transport
    }

    /// The settings.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Everything that happens from now on.
    #[must_use]
    pub fn notices(&self) -> NoticeStream {
        self.driver.notices().listen()
    }

    /// This process's attempts, at all endpoints.
    #[must_use]
    pub fn attempts(&self) -> AttemptMetrics {
        self.driver.look(|scheduler, _| scheduler.attempts())
    }

    /// This process's attempts at one endpoint, its circuit, and its requests in flight.
    #[must_use]
    pub fn endpoint_attempts(&self, id: &str) -> Option<(AttemptMetrics, Circuit, usize)> {
        self.driver
            .look(|scheduler, now| scheduler.endpoint_attempts(now, id))
    }

    /// This process as it is now, and all processes as the storage has told them, 5 s ago at most. Takes
    /// 2 s at most where the storage does not answer, and is then without what that would have told.
    pub async fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        snapshot.cluster = self.cluster.look().await;
        // After the wait, so that the process is as it is at the end.
        snapshot.process = self.look_at_process();
        snapshot
    }

    fn look_at_process(&self) -> ProcessSnapshot {
        let mut process = ProcessSnapshot::default();
        (process.requests_in_flight, process.deliveries_in_hand) = self
            .driver
            .look(|scheduler, _| (scheduler.in_flight(), scheduler.in_hand()));
        process.requests_limit = self.settings.max_in_flight;
        process.commit_queue_bytes = self.sender.queued_bytes();
        process.beat_age = self.worker.beat_age();
        let (records, now) = (self.endpoints(), self.now());
        let mut states = EndpointStates::default();
        for record in records {
            states.add(&record);
            let state = self.admission.circuit(&record.endpoint.id, now).state;
            let place = CircuitState::ALL.iter().position(|known| *known == state);
            if let Some(count) = place.and_then(|place| process.circuits.get_mut(place)) {
                *count += 1;
            }
        }
        process.endpoints = states;
        process
    }

    /// Stores changes of what lets deliveries of endpoints through, by hand.
    ///
    /// # Errors
    ///
    /// [`StorageError`](webhooks_core::WebhookError::StorageError) when the storage fails.
    pub async fn set_gates(&self, gates: &[EndpointGate]) -> Result<()> {
        self.worker.set_gates(gates).await?;
        let observer = self.driver.observer();
        for gate in gates {
            observer.tell(|observer| observer.gate_changed(gate));
        }
        Ok(())
    }

    /// Claims again soon, since something was changed by hand.
    pub fn look_for_work(&self) {
        self.driver.claim.notify_one();
    }

    /// Whether the tasks run, and hold their leases.
    ///
    /// For liveness probes: a process of which this stays `false` for long should be restarted.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        let leases = self.settings.workers > 0;
        let is_alive = |scheduler: &Scheduler, now: Now| match leases {
            true => scheduler.holds_leases(now.moment),
            false => !scheduler.is_stopping(),
        };
        self.driver.look(is_alive) && self.tasks.iter().all(|task| !task.is_finished())
    }

    /// Whether what comes of requests is written down: not while the storage refuses some of it or
    /// fails again and again.
    #[must_use]
    pub fn is_settling(&self) -> bool {
        self.recording.is_well()
    }

    /// What the storage refuses for good.
    #[must_use]
    pub fn refused(&self) -> RefusedMetrics {
        RefusedMetrics {
            outcomes: self.recording.parked(),
            outbox_events: self.outbox_refused.load(Ordering::Relaxed),
        }
    }

    /// Waits until nothing waits or is in flight, disabled and paused endpoints aside; `false`
    /// when the deadline passed before.
    ///
    /// Also what other processes hold and what is due later is waited for, since the storage's
    /// counts are asked. With senders that go on it may never be true.
    ///
    /// # Errors
    ///
    /// [`StorageError`](webhooks_core::WebhookError::StorageError) when the storage fails.
    pub async fn drain(&self, deadline: Duration) -> Result<bool> {
        self.ready().await?;
        let until = Instant::now() + deadline.min(MAX_DEADLINE);
        loop {
            let holds_none = self.driver.look(|scheduler, _| scheduler.is_idle());
            let is_idle = self.sender.is_idle() && holds_none;
            // The outbox first: what leaves it is counted from then on.
            if is_idle && !self.storage().beat(None, None).await?.outbox {
                let counts = self.storage().counts(None).await?;
                if counts.waiting() <= counts.suspended {
                    return Ok(true);
                }
            }
            let pause = if is_idle { ASK } else { LOOK };
            if Instant::now() + pause > until {
                return Ok(false);
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Takes no event and no delivery any more, lets requests in flight end until the deadline,
    /// gives back what is left, and returns when everything is stored; `false` when requests had
    /// to be cut off.
    ///
    /// What is given back is not counted as an attempt. It takes up to five seconds more than
    /// `deadline` where the storage is slow; what is not stored by then is taken back by other
    /// processes, and may be sent twice.
    pub async fn shut_down(&self, deadline: Duration) -> bool {
        let until = Instant::now() + deadline.min(MAX_DEADLINE);
        // From here on `send` is refused, under the same lock under which it reserves places.
        self.driver.stop();
        let ended = self
            .wait_until(until, |scheduler| scheduler.in_flight() == 0)
            .await;
        if !ended {
            self.driver.cut_off();
        }
        // What is left to store is little; a storage that is down must not hold us for ever.
        let until = until.max(Instant::now()) + Duration::from_secs(5);
        self.wait_until(until, |scheduler| {
            // In this order: an entry leaves the scheduler only after `Recording` says that it
            // works.
            scheduler.is_idle() && scheduler.is_written() && self.recording.is_done()
        })
        .await;
        // Of the same patience: numbers are no reason to wait longer.
        drop(tokio::time::timeout_at(until, self.statistics.tell()).await);
        self.tasks.iter().for_each(JoinHandle::abort);
        ended
    }

    async fn wait_until(&self, until: Instant, done: impl Fn(&Scheduler) -> bool) -> bool {
        while !(self.driver.look(|scheduler, _| done(scheduler)) && self.sender.is_idle()) {
            if Instant::now() >= until {
                return false;
            }
            tokio::time::sleep(LOOK).await;
        }
        true
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        self.driver.stop();
        self.driver.cut_off();
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}
