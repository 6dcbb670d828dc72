//! Which trace a request tells its receiver.

use better_auth_webhooks::storage::MemoryStorage;
use better_auth_webhooks::{TraceContext, TracePropagation};
use webhooks_tests::{Received, Receiver};

use super::{SOON, builder, endpoint};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// The request of an event that was sent in a trace.
async fn request_with(propagation: Option<TracePropagation>) -> Received {
    let receiver = Receiver::responding(204).await;
    let mut builder = builder();
    if let Some(propagation) = propagation {
        builder = builder.trace_propagation(propagation);
    }
    let system = builder.build(MemoryStorage::new());
    system
        .register_endpoint(endpoint("a", &receiver))
        .await
        .unwrap();
    let trace = TraceContext::new(PARENT, Some("vendor=1")).unwrap();
    system
        .webhook("a.b")
        .data(1)
        .trace(trace)
        .send()
        .await
        .unwrap();
    assert!(system.drain(SOON).await.unwrap());
    receiver.received().pop().unwrap()
}

#[tokio::test]
async fn no_trace_goes_out_unless_it_is_asked_for() {
    for propagation in [None, Some(TracePropagation::Off)] {
        let request = request_with(propagation).await;
        assert!(!request.headers.contains_key("traceparent"));
        assert!(!request.headers.contains_key("tracestate"));
    }
}

#[tokio::test]
async fn a_continued_trace_is_that_of_the_event() {
    let request = request_with(Some(TracePropagation::Continue)).await;
    assert_eq!(request.header("traceparent"), PARENT);
    assert_eq!(request.header("tracestate"), "vendor=1");
}

#[tokio::test]
async fn a_new_trace_says_nothing_of_the_events() {
    let request = request_with(Some(TracePropagation::New)).await;
    let trace = TraceContext::new(request.header("traceparent"), None).unwrap();
    assert!(!PARENT.contains(trace.trace_id()) && !PARENT.contains(trace.span_id()));
    assert!(!request.headers.contains_key("tracestate"));
}
