//! Makes requests.
//!
//! Each request comes to a result, also where the transport panics. Only an abort ends it without:
//! what it carried was given up before that.

use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::FutureExt;
use slab::Slab;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tracing::Instrument;
use webhooks_core::{
    Attempt, BATCH_EVENT, DeliveryId, DeliveryResult, EventId, FailureKind, Outcome, Result,
    Timestamp, TraceContext, TracePropagation, Transport, WebhookError, WebhookEvent,
    batch_envelope,
};

use super::observed_attempt::{ObservedAttempt, outgoing};
use crate::lock::lock;
use crate::observer::Observer;
use crate::schedule::{Content, Request};
use crate::settings::Settings;

/// What makes requests, and the tasks that do.
#[derive(Debug)]
pub(crate) struct Requests {
    pub(crate) transport: Arc<dyn Transport>,
    settings: Settings,
    observer: Observer,
    /// Where requests run, whoever starts them.
    /// Kept, since commands are done by whichever thread told the scheduler something, which may be
    /// one outside the runtime: a [`Pipeline`](crate::Pipeline) may be dropped there.
    runtime: Handle,
    /// One for each task, for the end of the process. Never taken under the lock of the scheduler.
    tasks: Mutex<Slab<AbortHandle>>,
}

impl Requests {
    pub(crate) fn new(transport: Arc<dyn Transport>, settings: Settings, runtime: Handle) -> Self {
        Self {
            transport,
            observer: Observer::new(settings.observer.clone()),
            settings,
            runtime,
            tasks: Mutex::default(),
        }
    }

    /// Starts a task that makes requests; `make` makes it, from its name.
    pub(super) fn start<T>(&self, make: impl FnOnce(usize) -> T)
    where
        T: Future<Output = ()> + Send + 'static,
    {
        let mut tasks = lock(&self.tasks);
        let entry = tasks.vacant_entry();
        // It cannot be over before its handle is kept: it needs the lock for that.
        let task = self.runtime.spawn(make(entry.key()));
        entry.insert(task.abort_handle());
    }

    /// Ends all tasks.
    pub(super) fn abort(&self) {
        lock(&self.tasks).drain().for_each(|task| task.abort());
    }

    /// A task is over.
    pub(super) fn is_over(&self, task: usize) {
        lock(&self.tasks).try_remove(task);
    }

    /// Makes a request. A transport that panics has failed.
    pub(super) async fn make(&self, request: &Request) -> Result<DeliveryResult> {
        // One event goes out as the bytes that were stored; only a batch gets an envelope now.
        let envelope = Envelope::of(request);
        let mut untraced = Attempt::new(
            &request.record.endpoint,
            (envelope.event_id, envelope.event_type),
            envelope.delivery_id,
            &envelope.body,
            request.started_at,
            self.settings.timeout_of(&request.record.endpoint),
        );
        untraced.number = request.number;
        let propagation = self.settings.trace_propagation;
        let new_trace = (propagation == TracePropagation::New).then(TraceContext::unique);
        let (observed, given_trace) =
            ObservedAttempt::start(&self.observer, &untraced, request, new_trace.as_ref());
        let trace = outgoing(
            propagation,
            &request.content,
            new_trace.as_ref(),
            given_trace,
        );
        let mut attempt = untraced;
        attempt.trace = trace.as_ref();
        let span = tracing::info_span!(
            "attempt",
            endpoint_id = %request.record.endpoint.id,
            event_id = %attempt.event_id,
            delivery_id = %attempt.delivery_id,
            attempt = attempt.number,
        );
        // Nothing of the attempt is looked at after a panic, so that no broken state gets out of
        // it.
        let sent = AssertUnwindSafe(async { self.transport.send(&attempt).await }).catch_unwind();
        let result = sent.instrument(span.clone()).await;
        let result = result.unwrap_or_else(|_| Ok(panicked(request.started_at)));
        span.in_scope(|| log(result.as_ref()));
        observed.end(&result);
        result
    }
}

/// The body of a request and its ids; a batch gets an envelope and ids of its own.
struct Envelope<'a> {
    event_id: EventId,
    event_type: &'a str,
    delivery_id: DeliveryId,
    body: Cow<'a, Bytes>,
}

impl<'a> Envelope<'a> {
    fn of(request: &'a Request) -> Self {
        match &request.content {
            Content::One(event) => Self {
                event_id: event.id,
                event_type: &event.event_type,
                delivery_id: request.delivery_id,
                body: Cow::Borrowed(&event.payload),
            },
            Content::Batch(events) => Self::batch(events, request.started_at),
        }
    }

    fn batch(events: &[Arc<WebhookEvent>], now: Timestamp) -> Self {
        // A new one for each try: which events are in a batch may differ the next time, and
        // receivers tell repeated events by the ids inside.
        let id = EventId::new(now);
        let bodies = events.iter().map(|event| &event.payload);
        Self {
            event_id: id,
            event_type: BATCH_EVENT,
            delivery_id: DeliveryId::new(now),
            body: Cow::Owned(batch_envelope(id, now, bodies)),
        }
    }
}

/// What came of a request whose transport panicked. It may have been sent.
///
/// So it counts as an attempt, and against the endpoint as a connection that broke off would: a
/// payload that always panics must come to an end of its retries.
fn panicked(started_at: Timestamp) -> DeliveryResult {
    DeliveryResult {
        outcome: Outcome::Failed(FailureKind::Reset),
        status: None,
        started_at,
        duration: std::time::Duration::ZERO,
        retry_after: None,
        response_headers: Vec::new(),
        response: Bytes::new(),
    }
}

fn log(result: std::result::Result<&DeliveryResult, &WebhookError>) {
    let result = match result {
        Ok(result) => result,
        Err(error) => return tracing::info!(%error, "not tried"),
    };
    let duration_ms = result.duration.as_millis();
    match result.failure() {
        None => tracing::debug!(status = result.status, duration_ms, "delivered"),
        Some(failure) => {
            tracing::info!(status = result.status, duration_ms, %failure, "attempt failed");
        }
    }
}
