//! One process's way of events: from a sender into the storage, and out to the endpoints.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::Serialize;
use tokio::runtime::Handle;
use tokio::sync::{Notify, OnceCell};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use webhooks_core::storage::{EndpointRecord, WebhookStorage};
use webhooks_core::{Admission, Circuit, Clock, Result, Timestamp, Transport, WorkerId};

use crate::claimer::claim_work;
use crate::clock::StorageClock;
use crate::committer::Committer;
use crate::directory::Directory;
use crate::dispatcher::{Dispatcher, Parts};
use crate::fan_out::keep_fanning_out;
use crate::lost_claims::give_back_lost_claims;
use crate::metrics::{AttemptCounter, AttemptMetrics, RefusedMetrics};
use crate::moment;
use crate::notice::NoticeStream;
use crate::outbox::keep_emptying;
use crate::outgoing::{Outgoing, Sent};
use crate::pulse;
use crate::recorder::Recorder;
use crate::sender::Sender;
use crate::settings::Settings;
use crate::writer::write_down;

/// One process's way of events: from a sender into the storage, and out to the endpoints. Its
/// tasks end when it is dropped.
#[derive(Debug)]
pub struct Pipeline {
    dispatcher: Arc<Dispatcher>,
    committer: Committer,
    started: OnceCell<()>,
    tasks: Vec<JoinHandle<()>>,
}

/// The longest deadline, a century: the clock ends some time after it.
const MAX_DEADLINE: Duration = Duration::from_secs(100 * 365 * 86_400);
/// Between two looks at whether this process is done.
const LOOK: Duration = Duration::from_millis(1);
/// Between two times that the storage is asked whether everything is.
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
        settings.validate()?;
        let clock = Arc::new(StorageClock::new());
        let runtime = Handle::current();
        let (recorder, entries) = Recorder::new();
        let dispatcher = Arc::new(Dispatcher::new(Parts {
            storage,
            transport: transport(clock.clone())?,
            admission,
            clock,
            directory: Arc::new(Directory::default()),
            recorder,
            worker: WorkerId::unique(),
            settings,
            runtime: runtime.clone(),
        }));
        let (committer, committing) = Committer::new(dispatcher.clone());
        let mut tasks = vec![
            runtime.spawn(committing),
            runtime.spawn(write_down(entries, dispatcher.clone())),
            runtime.spawn(pulse::keep_beating(dispatcher.clone())),
            runtime.spawn(pulse::keep_ticking(dispatcher.clone())),
            runtime.spawn(pulse::keep_sweeping(dispatcher.clone())),
            runtime.spawn(keep_emptying(dispatcher.clone())),
            runtime.spawn(keep_fanning_out(dispatcher.clone())),
            runtime.spawn(give_back_lost_claims(dispatcher.clone())),
        ];
        let help = Arc::new(Notify::new());
        for n in 0..dispatcher.settings.workers {
            tasks.push(runtime.spawn(claim_work(dispatcher.clone(), n == 0, help.clone())));
        }
        Ok(Self {
            dispatcher,
            committer,
            started: OnceCell::new(),
            tasks,
        })
    }

    /// Waits until the storage has answered once and all endpoints are known.
    ///
    /// # Errors
    ///
    /// [`StorageError`](webhooks_core::WebhookError::StorageError) when the storage fails; the next call tries again.
    pub async fn ready(&self) -> Result<()> {
        self.started
            .get_or_try_init(|| pulse::first_beat(&self.dispatcher))
            .await?;
        Ok(())
    }

    /// Stores an event and its deliveries; it is on its way when this returns.
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
        send: &Outgoing<'_>,
        data: &(impl Serialize + ?Sized),
    ) -> Result<Sent> {
        self.ready().await?;
        self.sender().send(send, data).await
    }

    /// Stores several events, in one commit if that is not too large: one answer for each, in order.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send): what concerns one event is its own answer, what concerns the
    /// storage is that of all; or, once some are stored, of those that are not.
    pub async fn send_all(
        &self,
        events: &[(Outgoing<'_>, &(impl Serialize + ?Sized))],
    ) -> Result<Vec<Result<Sent>>> {
        self.ready().await?;
        self.sender().send_all(events).await
    }

    const fn sender(&self) -> Sender<'_> {
        Sender {
            dispatcher: &self.dispatcher,
            committer: &self.committer,
        }
    }

    /// Reads endpoints that changed, so that what this process has just stored takes effect.
    ///
    /// # Errors
    ///
    /// [`StorageError`](webhooks_core::WebhookError::StorageError) when the storage fails.
    pub async fn refresh(&self) -> Result<()> {
        self.dispatcher.refresh().await
    }

    /// All endpoints that are not deleted, by id.
    #[must_use]
    pub fn endpoints(&self) -> Vec<Arc<EndpointRecord>> {
        let mut records: Vec<_> = self
            .dispatcher
            .directory
            .all()
            .iter()
            .map(|lane| lane.record())
            .collect();
        records.sort_by(|a, b| a.endpoint.id.cmp(&b.endpoint.id));
        records
    }

    /// How many endpoints a tenant has.
    #[must_use]
    pub fn endpoints_of(&self, tenant: &str) -> usize {
        self.dispatcher.directory.count_of(tenant)
    }

    /// One endpoint.
    #[must_use]
    pub fn endpoint(&self, id: &str) -> Option<Arc<EndpointRecord>> {
        self.dispatcher.directory.get(id).map(|lane| lane.record())
    }

    /// Storage time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.dispatcher.clock.now()
    }

    /// The storage.
    #[must_use]
    pub fn storage(&self) -> &Arc<dyn WebhookStorage> {
        &self.dispatcher.storage
    }

    /// What sends requests.
    #[must_use]
    pub fn transport(&self) -> &Arc<dyn Transport> {
        &self.dispatcher.transport
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.dispatcher.settings
    }

    /// Everything that happens from now on.
    #[must_use]
    pub fn notices(&self) -> NoticeStream {
        self.dispatcher.notices.listen()
    }

    /// This process's attempts, at all endpoints that are not deleted.
    #[must_use]
    pub fn attempts(&self) -> AttemptMetrics {
        let mut all = AttemptCounter::default();
        for lane in self.dispatcher.directory.all() {
            all.add(&lane.lock().attempts);
        }
        all.metrics()
    }

    /// This process's attempts at one endpoint, its circuit, and its requests in flight.
    #[must_use]
    pub fn endpoint_attempts(&self, id: &str) -> Option<(AttemptMetrics, Circuit, usize)> {
        let lane = self.dispatcher.directory.get(id)?;
        let circuit = self.dispatcher.admission.circuit(id, self.now());
        let state = lane.lock();
        Some((state.attempts.metrics(), circuit, state.in_flight()))
    }

    /// Claims again soon, since something was changed by hand.
    pub fn look_for_work(&self) {
        self.dispatcher.work.notify_one();
    }

    /// Whether the tasks run, and hold their leases.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        let dispatcher = &self.dispatcher;
        let holds_leases =
            dispatcher.settings.workers == 0 || dispatcher.heartbeat.is_valid(moment::now());
        holds_leases
            && !dispatcher.is_stopping()
            && self.committer.is_alive()
            && self.tasks.iter().all(|task| !task.is_finished())
    }

    /// Whether what comes of requests is written down: not while the storage refuses some of it or
    /// fails again and again.
    #[must_use]
    pub fn is_settling(&self) -> bool {
        self.dispatcher.recorder.is_writing()
    }

    /// What the storage refuses for good.
    #[must_use]
    pub fn refused(&self) -> RefusedMetrics {
        RefusedMetrics {
            outcomes: self.dispatcher.recorder.parked(),
            outbox_events: self.dispatcher.outbox_refused.load(Ordering::Relaxed),
        }
    }

    /// Waits until nothing waits or is in flight, disabled and paused endpoints aside; `false`
    /// when the deadline passed before.
    ///
    /// # Errors
    ///
    /// [`StorageError`](webhooks_core::WebhookError::StorageError) when the storage fails.
    pub async fn drain(&self, deadline: Duration) -> Result<bool> {
        self.ready().await?;
        let until = Instant::now() + deadline.min(MAX_DEADLINE);
        loop {
            let is_idle = self.committer.is_idle() && self.dispatcher.hand.is_empty();
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
    pub async fn shut_down(&self, deadline: Duration) -> bool {
        let until = Instant::now() + deadline.min(MAX_DEADLINE);
        self.dispatcher.stop();
        let ended = self
            .wait_for(until, |dispatcher| dispatcher.slots.taken() == 0)
            .await;
        if !ended {
            self.dispatcher.abort();
        }
        // What is left to store is little; a storage that is down must not hold us for ever.
        let until = until.max(Instant::now()) + Duration::from_secs(5);
        self.wait_for(until, |dispatcher| {
            dispatcher.hand.is_empty() && dispatcher.recorder.is_idle()
        })
        .await;
        self.tasks.iter().for_each(JoinHandle::abort);
        ended
    }

    async fn wait_for(&self, until: Instant, done: impl Fn(&Dispatcher) -> bool) -> bool {
        while !(done(&self.dispatcher) && self.committer.is_idle()) {
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
        self.dispatcher.stop();
        self.dispatcher.abort();
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}
