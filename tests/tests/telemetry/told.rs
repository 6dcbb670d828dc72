//! What happens besides deliveries, and observers that do wrong.

use std::sync::Arc;

use better_auth_webhooks::storage::MemoryStorage;
use better_auth_webhooks::{
    AttemptInfo, CircuitBreakerConfig, EndedInfo, Observe, SentInfo, StorageCall, TraceContext,
};
use webhooks_telemetry::Telemetry;
use webhooks_tests::Receiver;

use super::openmetrics::Scrape;
use super::{SOON, builder, endpoint};

#[tokio::test]
async fn circuits_gates_and_missed_notices_are_counted() {
    let (gone, failing) = (
        Receiver::responding(410).await,
        Receiver::responding(503).await,
    );
    let telemetry = Arc::new(Telemetry::new());
    let system = builder()
        .observe(telemetry.clone())
        .circuit_breaker(CircuitBreakerConfig {
            failure_threshold: 1,
            ..Default::default()
        })
        .build(MemoryStorage::new());
    for (id, receiver) in [("gone", &gone), ("failing", &failing)] {
        system
            .register_endpoint(endpoint(id, receiver))
            .await
            .unwrap();
    }
    let mut notices = system.notices().unwrap();
    system.send_webhook("gone.a", 1).await.unwrap();
    system.send_webhook("failing.a", 1).await.unwrap();
    failing.wait_for(1).await;
    let opened = async {
        while system
            .endpoint_metrics("failing")
            .await
            .unwrap()
            .circuit
            .reopens_at
            .is_none()
        {
            tokio::task::yield_now().await;
        }
    };
    opened.await;
    system.disable_endpoint("failing").await.unwrap();
    assert!(system.drain(SOON).await.unwrap());
    // More than a listener may fall behind by.
    for _ in 0..5_000 {
        system.send_webhook("nobody.a", 1).await.unwrap();
    }
    notices.next().await.unwrap();
    system.shutdown(SOON).await.unwrap();

    let mut text = String::new();
    telemetry.encode_with(&system.snapshot().await.unwrap(), &mut text);
    let scrape = Scrape::read(&text);
    for series in [
        r#"webhooks_circuit_transitions_total{to="open"}"#,
        r#"webhooks_circuits{state="open"}"#,
        r#"webhooks_endpoints_disabled_total{by="gone"}"#,
        r#"webhooks_endpoints_disabled_total{by="operator"}"#,
        r#"webhooks_deliveries_ended_total{state="dead",reason="permanent_failure"}"#,
    ] {
        assert!((scrape.value(series) - 1.0).abs() < 0.5, "{series}");
    }
    assert!(scrape.value("webhooks_notices_missed_total") > 900.0);
    assert!((scrape.value(r#"webhooks_endpoints{state="disabled"}"#) - 2.0).abs() < 0.5);
}

#[derive(Debug)]
struct Panics;

impl Observe for Panics {
    fn event_sent(&self, _: &SentInfo<'_>) {
        panic!("in an observer");
    }

    fn attempt_started(&self, _: &AttemptInfo<'_>) -> Option<TraceContext> {
        panic!("in an observer");
    }

    fn attempt_ended(&self, _: &AttemptInfo<'_>, _: better_auth_webhooks::AttemptEnd<'_>) {
        panic!("in an observer");
    }

    fn delivery_ended(&self, _: &EndedInfo<'_>) {
        panic!("in an observer");
    }

    fn storage_called(&self, _: &StorageCall) {
        panic!("in an observer");
    }

    fn connection_used(&self, _: bool) {
        panic!("in an observer");
    }
}

#[tokio::test]
async fn an_observer_that_panics_harms_no_delivery() {
    let receiver = Receiver::responding(204).await;
    let system = builder()
        .observe(Arc::new(Panics))
        .build(MemoryStorage::new());
    system
        .register_endpoint(endpoint("a", &receiver))
        .await
        .unwrap();
    for _ in 0..20 {
        system.send_webhook("a.b", 1).await.unwrap();
    }
    assert!(system.drain(SOON).await.unwrap());
    assert_eq!(receiver.count(), 20);
    assert_eq!(system.get_metrics().await.unwrap().counts.delivered, 20);
}

/// Also of an attempt that shows all that it knows.
#[tokio::test]
async fn what_observers_are_told_shows_no_url_and_no_payload() {
    #[derive(Debug, Default)]
    struct Texts(std::sync::Mutex<Vec<String>>);

    impl Observe for Texts {
        fn event_sent(&self, sent: &SentInfo<'_>) {
            self.0.lock().unwrap().push(format!("{sent:?}"));
        }

        fn attempt_started(&self, attempt: &AttemptInfo<'_>) -> Option<TraceContext> {
            self.0.lock().unwrap().push(format!("{attempt:?}"));
            None
        }

        fn delivery_ended(&self, ended: &EndedInfo<'_>) {
            self.0.lock().unwrap().push(format!("{ended:?}"));
        }
    }

    let receiver = Receiver::responding(204).await;
    let texts = Arc::new(Texts::default());
    let system = builder().observe(texts.clone()).build(MemoryStorage::new());
    let mut endpoint = endpoint("a", &receiver);
    endpoint.url = format!("{}?key=hunter2", receiver.url());
    system.register_endpoint(endpoint).await.unwrap();
    system.send_webhook("a.b", "a payload").await.unwrap();
    assert!(system.drain(SOON).await.unwrap());
    system.shutdown(SOON).await.unwrap();
    let texts = texts.0.lock().unwrap();
    assert_eq!(texts.len(), 3, "{texts:?}");
    assert!(
        !texts
            .iter()
            .any(|text| text.contains("hunter2") || text.contains("a payload"))
    );
}
