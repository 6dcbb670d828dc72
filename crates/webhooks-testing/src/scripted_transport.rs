//! The transport that sends nothing.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use webhooks_core::{
    Attempt, DeliveryResult, FailureKind, Outcome, Result, Transport, WebhookEndpoint, WebhookError,
};

use crate::reply::{Kind, Reply};
use crate::sent_request::SentRequest;

/// How long a test waits for each request: longer than the longest delay of the default schedule.
const PATIENCE: Duration = Duration::from_secs(24 * 3_600);

/// Answers each request by a script, and keeps it. Clones share both.
///
/// It judges no URL and resolves no name. Requests take Tokio's time, and none unless the reply
/// [comes later](Reply::after).
///
/// ```
/// use webhooks_testing::{Reply, ScriptedTransport};
///
/// // 200 to everything ...
/// let transport = ScriptedTransport::new();
/// // ... but two failures first, at this endpoint ...
/// transport.reply("endpoint_1", [500, 503]);
/// // ... or by a rule of its own.
/// let transport = ScriptedTransport::by(|request| match request.attempt {
///     1 => Reply::hang(),
///     _ => Reply::status(200),
/// });
/// # drop(transport);
/// ```
#[derive(Clone)]
pub struct ScriptedTransport {
    shared: Arc<Shared>,
    patience: Duration,
}

type Script = dyn Fn(&SentRequest) -> Reply + Send + Sync;

struct Shared {
    state: Mutex<State>,
    /// How many requests there are.
    count: watch::Sender<usize>,
}

struct State {
    script: Arc<Script>,
    /// What the next requests of an endpoint get, before the script is asked.
    replies: HashMap<String, VecDeque<Reply>>,
    requests: Vec<SentRequest>,
    per_endpoint: HashMap<String, usize>,
    /// Requests that the test has waited for.
    taken: usize,
    /// The start (true) or end of the request with this number, in order.
    steps: Vec<(usize, bool)>,
}

impl ScriptedTransport {
    /// A transport that answers 200 to everything, until [`reply`](Self::reply) or
    /// [`script`](Self::script) says otherwise.
    #[must_use]
    pub fn new() -> Self {
        Self::by(|_| Reply::status(200))
    }

    /// A transport that answers by a rule.
    #[must_use]
    pub fn by(script: impl Fn(&SentRequest) -> Reply + Send + Sync + 'static) -> Self {
        let state = State {
            script: Arc::new(script),
            replies: HashMap::new(),
            requests: Vec::new(),
            per_endpoint: HashMap::new(),
            taken: 0,
            steps: Vec::new(),
        };
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(state),
                count: watch::Sender::new(0),
            }),
            patience: PATIENCE,
        }
    }

    /// How long [`next`](Self::next) and [`expect`](Self::expect) wait for each request, in Tokio's
    /// time. Defaults to 24 h, which a paused clock passes in a moment; with a clock that runs, set seconds.
    #[must_use]
    pub const fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Answers by another rule from now on.
    pub fn script(&self, script: impl Fn(&SentRequest) -> Reply + Send + Sync + 'static) {
        self.state().script = Arc::new(script);
    }

    /// Answers the next requests to this endpoint with these, one each, behind those that are still
    /// to be given; then the rule counts again.
    pub fn reply(&self, endpoint_id: &str, replies: impl IntoIterator<Item = impl Into<Reply>>) {
        let mut state = self.state();
        let queue = state.replies.entry(endpoint_id.to_owned()).or_default();
        queue.extend(replies.into_iter().map(Into::into));
    }

    /// Every request so far, in the order of their starts.
    #[must_use]
    pub fn requests(&self) -> Vec<SentRequest> {
        self.state().requests.clone()
    }

    /// The requests to one endpoint so far.
    #[must_use]
    pub fn requests_to(&self, endpoint_id: &str) -> Vec<SentRequest> {
        let state = self.state();
        let of_it = state.requests.iter();
        let of_it = of_it.filter(|request| request.endpoint_id == endpoint_id);
        of_it.cloned().collect()
    }

    /// The most requests that were in flight together, of those that count.
    #[must_use]
    pub fn most_in_flight(&self, counts: impl Fn(&SentRequest) -> bool) -> usize {
        let state = self.state();
        let (mut now, mut most) = (0_usize, 0);
        for (number, starts) in &state.steps {
            if !state.requests.get(*number).is_some_and(&counts) {
                continue;
            }
            now = if *starts {
                now + 1
            } else {
                now.saturating_sub(1)
            };
            most = most.max(now);
        }
        most
    }

    /// The next request: the first that no call of this and of [`expect`](Self::expect) has returned,
    /// once it has started.
    ///
    /// # Panics
    ///
    /// When none starts in [time](Self::with_patience).
    pub async fn next(&self) -> SentRequest {
        let mut requests = self.expect(1).await;
        requests.remove(0)
    }

    /// The next so many requests, once all of them have started.
    ///
    /// # Panics
    ///
    /// When one of them does not start in [time](Self::with_patience).
    #[expect(clippy::panic, reason = "it fails the test")]
    pub async fn expect(&self, count: usize) -> Vec<SentRequest> {
        let wanted = {
            let mut state = self.state();
            state.taken += count;
            state.taken
        };
        let mut counted = self.shared.count.subscribe();
        for number in wanted + 1 - count..=wanted {
            let comes = counted.wait_for(|started| *started >= number);
            if timeout(self.patience, comes).await.is_err() {
                let (came, patience) = (number - 1, self.patience);
                panic!("{came} requests came, and within {patience:?} no further one of {wanted}");
            }
        }
        let state = self.state();
        let requests = state.requests.get(wanted - count..wanted);
        requests.unwrap_or_default().to_vec()
    }

    /// Waits for so long, in Tokio's time, and makes sure that no request starts in it.
    ///
    /// # Panics
    ///
    /// When one does.
    #[expect(clippy::panic, reason = "it fails the test")]
    pub async fn expect_none(&self, within: Duration) {
        let mut counted = self.shared.count.subscribe();
        counted.mark_unchanged();
        if timeout(within, counted.changed()).await.is_ok() {
            let last = self.state().requests.last().cloned();
            panic!("no request was to start within {within:?}, and this one did: {last:?}");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }

    fn begin(&self, attempt: &Attempt<'_>) -> (Reply, InFlight<'_>) {
        let mut state = self.state();
        let endpoint_id = attempt.endpoint.id.clone();
        let nth = state.per_endpoint.entry(endpoint_id).or_default();
        *nth += 1;
        let request = SentRequest::new(attempt, *nth);
        let queued = state.replies.get_mut(&request.endpoint_id);
        let queued = queued.and_then(VecDeque::pop_front);
        let script = state.script.clone();
        let number = state.requests.len();
        state.requests.push(request.clone());
        state.steps.push((number, true));
        self.shared.count.send_replace(number + 1);
        // A script may look at the transport.
        drop(state);
        let reply = queued.unwrap_or_else(|| script(&request));
        (reply, InFlight(&self.shared, number))
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes the end of a request down, also of one that is cut off.
struct InFlight<'a>(&'a Shared, usize);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.state().steps.push((self.1, false));
    }
}

impl Default for ScriptedTransport {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Transport for ScriptedTransport {
    fn check(&self, _: &WebhookEndpoint) -> Result<()> {
        Ok(())
    }

    async fn send(&self, attempt: &Attempt<'_>) -> Result<DeliveryResult> {
        let started = Instant::now();
        let (reply, _in_flight) = self.begin(attempt);
        if reply.after.is_zero() {
            // A real request never ends within the poll that starts it.
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(reply.after.min(attempt.timeout)).await;
        }
        let is_late = reply.after >= attempt.timeout;
        let (status, outcome) = match reply.kind {
            Kind::NotTried => return Err(WebhookError::not_tried("the script says so")),
            _ if is_late => (None, Outcome::Failed(FailureKind::Timeout)),
            Kind::Status(status) => (Some(status), Outcome::of_status(attempt.endpoint, status)),
            Kind::Failure(failure) => (None, Outcome::Failed(failure)),
        };
        Ok(DeliveryResult {
            outcome,
            status,
            started_at: attempt.now,
            duration: started.elapsed(),
            retry_after: reply.retry_after.filter(|_| status.is_some()),
            response_headers: Vec::new(),
            response: if status.is_some() {
                reply.body
            } else {
                Default::default()
            },
        })
    }

    fn forget(&self, _: &str) {}
}

impl fmt::Debug for ScriptedTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedTransport")
            .field("requests", &self.state().requests.len())
            .finish_non_exhaustive()
    }
}
