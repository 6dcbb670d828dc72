//! A transport that sends nothing and responds by a script, for tests under paused time.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::Instant;
use webhooks_core::{
    Attempt, DeliveryId, DeliveryResult, EventId, FailureKind, KeptEndpoint, Outcome, Result,
    Timestamp, Transport, WebhookEndpoint, WebhookError,
};

/// How the script responds to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// This status, at once.
    Status(u16),
    /// This status, after a while.
    Slow(Duration, u16),
    /// This status, asking to be left alone for a while.
    RetryAfter(u16, Duration),
    /// No response, for this reason.
    Fail(FailureKind),
    /// Nothing is sent, for something that this process lacks.
    Untried,
    /// No response until the attempt's deadline.
    Hang,
}

/// One request, as it was started.
#[derive(Clone, Debug)]
pub struct Call {
    /// Storage time.
    pub at: Timestamp,
    /// The endpoint.
    pub endpoint_id: String,
    /// The id of the event, or the batch's own.
    pub event_id: EventId,
    /// The type of the event, or of a batch.
    pub event_type: String,
    /// The id of the delivery, or the batch's own.
    pub delivery_id: DeliveryId,
    /// The number of the attempt.
    pub number: u32,
    /// The body.
    pub body: Bytes,
    /// How many requests its endpoint has had, this one included.
    pub nth: usize,
}

type Script = dyn Fn(&Call) -> Reply + Send + Sync;

/// Responds by a script and keeps a ledger of what started and what ended, in order.
pub struct ScriptedTransport {
    script: Mutex<Arc<Script>>,
    ledger: Mutex<Ledger>,
    kept: Mutex<HashMap<String, Arc<KeptEndpoint>>>,
}

#[derive(Debug, Default)]
struct Ledger {
    calls: Vec<Call>,
    /// The start (true) or end of the call with this number.
    steps: Vec<(usize, bool)>,
}

impl ScriptedTransport {
    /// A transport whose responses come from the script.
    pub fn new(script: impl Fn(&Call) -> Reply + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            script: Mutex::new(Arc::new(script)),
            ledger: Mutex::default(),
            kept: Mutex::default(),
        })
    }

    /// Responds by another script from now on.
    pub fn follow(&self, script: impl Fn(&Call) -> Reply + Send + Sync + 'static) {
        *lock(&self.script) = Arc::new(script);
    }

    /// The definition that is kept ready for an endpoint. It is kept at the end of a request, which is
    /// the latest that a transport might.
    #[must_use]
    pub fn kept(&self, endpoint_id: &str) -> Option<Arc<KeptEndpoint>> {
        lock(&self.kept).get(endpoint_id).cloned()
    }

    /// Every request so far, in the order of their starts.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.ledger).calls.clone()
    }

    /// The requests to one endpoint so far.
    #[must_use]
    pub fn calls_to(&self, endpoint_id: &str) -> Vec<Call> {
        let mut calls = self.calls();
        calls.retain(|call| call.endpoint_id == endpoint_id);
        calls
    }

    /// How many requests were in flight together at most, of those that count.
    #[must_use]
    pub fn peak(&self, counts: impl Fn(&Call) -> bool) -> usize {
        let ledger = lock(&self.ledger);
        let (mut now, mut peak) = (0_usize, 0);
        for (number, starts) in &ledger.steps {
            if !ledger.calls.get(*number).is_some_and(&counts) {
                continue;
            }
            now = if *starts {
                now + 1
            } else {
                now.saturating_sub(1)
            };
            peak = peak.max(now);
        }
        peak
    }

    fn begin(&self, attempt: &Attempt<'_>) -> (Reply, Ending<'_>) {
        let mut ledger = lock(&self.ledger);
        let endpoint_id = attempt.endpoint.id.clone();
        let before = ledger.calls.iter();
        let call = Call {
            at: attempt.now,
            event_id: attempt.event_id,
            event_type: attempt.event_type.to_owned(),
            delivery_id: attempt.delivery_id,
            number: attempt.number,
            body: attempt.body.clone(),
            nth: before
                .filter(|call| call.endpoint_id == endpoint_id)
                .count()
                + 1,
            endpoint_id,
        };
        let script = lock(&self.script).clone();
        let reply = script(&call);
        let number = ledger.calls.len();
        ledger.calls.push(call);
        ledger.steps.push((number, true));
        (reply, Ending(self, number))
    }
}

/// Writes the end of a request down, also of one that is cut off.
struct Ending<'a>(&'a ScriptedTransport, usize);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        lock(&self.0.ledger).steps.push((self.1, false));
    }
}

#[async_trait]
impl Transport for ScriptedTransport {
    fn check(&self, _: &WebhookEndpoint) -> Result<()> {
        Ok(())
    }

    async fn send(&self, attempt: &Attempt<'_>) -> Result<DeliveryResult> {
        let started = Instant::now();
        let (reply, _ending) = self.begin(attempt);
        let (delay, status, failure, retry_after) = match reply {
            Reply::Status(status) => (Duration::ZERO, Some(status), None, None),
            Reply::Slow(delay, status) if delay < attempt.timeout => {
                (delay, Some(status), None, None)
            }
            Reply::RetryAfter(status, wait) => (Duration::ZERO, Some(status), None, Some(wait)),
            Reply::Fail(failure) => (Duration::ZERO, None, Some(failure), None),
            Reply::Untried => {
                tokio::task::yield_now().await;
                return Err(WebhookError::not_tried("the script says so"));
            }
            Reply::Slow(..) | Reply::Hang => {
                (attempt.timeout, None, Some(FailureKind::Timeout), None)
            }
        };
        if delay.is_zero() {
            // A real request never ends within the poll that starts it.
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(delay).await;
        }
        let id = attempt.endpoint.id.clone();
        lock(&self.kept).insert(id, attempt.endpoint.clone());
        let outcome = match (status, failure) {
            (Some(status), None) => Outcome::of_status(attempt.endpoint, status),
            (_, failure) => Outcome::Failed(failure.unwrap_or(FailureKind::Reset)),
        };
        Ok(DeliveryResult {
            outcome,
            status,
            started_at: attempt.now,
            duration: started.elapsed(),
            retry_after,
            response: Bytes::new(),
            response_headers: Vec::new(),
        })
    }

    fn forget(&self, endpoint_id: &str) {
        lock(&self.kept).remove(endpoint_id);
    }
}

impl fmt::Debug for ScriptedTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedTransport")
            .field("calls", &lock(&self.ledger).calls.len())
            .finish_non_exhaustive()
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
