//! A request that is observed from its start to its end, however it ends.

use webhooks_core::{
    Attempt, AttemptEnd, AttemptInfo, DeliveryResult, Result, TraceContext, TracePropagation,
};

use crate::observer::Observer;
use crate::schedule::{Content, Request};

/// A request whose observer was told of its start. Dropped before its end it was cut off.
pub(super) struct ObservedAttempt<'a> {
    observer: &'a Observer,
    /// Taken out at the end; `None` from the start if nobody observes.
    info: Option<AttemptInfo<'a>>,
}

impl<'a> ObservedAttempt<'a> {
    /// Tells of the start; also the trace that the observer gives the request.
    pub(super) fn start(
        observer: &'a Observer,
        attempt: &Attempt<'a>,
        request: &'a Request,
        new_trace: Option<&'a TraceContext>,
    ) -> (Self, Option<TraceContext>) {
        let info = observer.is_there().then(|| {
            let mut info = AttemptInfo::new(attempt, request.content.events());
            let is_one = matches!(request.content, Content::One(_));
            info.lag = is_one.then(|| request.started_at.since(request.due_at));
            info.new_trace = new_trace;
            info
        });
        let started = info.as_ref();
        let trace =
            started.and_then(|info| observer.tell(|observer| observer.attempt_started(info)));
        (Self { observer, info }, trace)
    }

    /// Tells of the end.
    pub(super) fn end(mut self, result: &Result<DeliveryResult>) {
        self.tell(match result {
            Ok(result) => AttemptEnd::Made(result),
            Err(error) => AttemptEnd::NotTried(error),
        });
    }

    fn tell(&mut self, end: AttemptEnd<'_>) {
        if let Some(info) = self.info.take() {
            self.observer
                .tell(|observer| observer.attempt_ended(&info, end));
        }
    }
}

impl Drop for ObservedAttempt<'_> {
    fn drop(&mut self) {
        // A no-op after the end.
        self.tell(AttemptEnd::CutOff);
    }
}

/// The trace that goes out with a request: `new` was made for it, `observed` is the observer's.
pub(super) fn outgoing(
    propagation: TracePropagation,
    content: &Content,
    new: Option<&TraceContext>,
    observed: Option<TraceContext>,
) -> Option<TraceContext> {
    match propagation {
        TracePropagation::New => new.cloned(),
        TracePropagation::Continue => observed.or_else(|| match content {
            Content::One(event) => event.trace.clone(),
            Content::Batch(_) => None,
        }),
        // What is not known here must not tell customers more than they were meant to see.
        _ => None,
    }
}
