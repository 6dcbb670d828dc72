//! What an HTTP server in front of the system is asked, and what it answers.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::labels::NONE;

/// Bounds of how long answers take, in seconds: those of OpenTelemetry for HTTP.
const ANSWER: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];
/// Methods that have series of their own. Callers can make up others.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// Why a request was let in by no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AuthFailure {
    /// It had none.
    NoKey,
    /// It had one that is not taken: unknown, wrong, expired, or from a network that is not its own.
    BadKey,
    /// So many bad ones came before that it was not looked at.
    TooManyGuesses,
}

impl AuthFailure {
    const ALL: [Self; 3] = [Self::NoKey, Self::BadKey, Self::TooManyGuesses];

    /// As the label has it.
    const fn as_str(self) -> &'static str {
        match self {
            Self::NoKey => "no_key",
            Self::BadKey => "bad_key",
            Self::TooManyGuesses => "too_many_guesses",
        }
    }
}

/// Which requests, and how they were answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    method: &'static str,
    route: Arc<str>,
    status: u32,
}

/// Why requests were not let in.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

/// What is counted of an HTTP server; nothing where there is none.
#[derive(Debug)]
pub(crate) struct HttpServer {
    answers: Family<Answered, Histogram, fn() -> Histogram>,
    auth_failures: Family<Reason, Counter>,
    pub(crate) streams: Gauge,
}

impl HttpServer {
    /// Everything at zero, written down with the registry.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let server = Self {
            answers: Family::new_with_constructor(|| Histogram::new(ANSWER)),
            auth_failures: Family::default(),
            streams: Gauge::default(),
        };
        for reason in AuthFailure::ALL.map(AuthFailure::as_str) {
            drop(server.auth_failures.get_or_create(&Reason { reason }));
        }
        let help = "How long requests to the API took, up to the headers of the response";
        let name = "webhooks_http_request_duration_seconds";
        registry.register(name, help, server.answers.clone());
        let help = "Requests to the API that no key let in";
        let failures = server.auth_failures.clone();
        registry.register("webhooks_auth_failures", help, failures);
        let help = "Streams of the API that are open";
        registry.register("webhooks_streams", help, server.streams.clone());
        server
    }

    /// A request was answered.
    pub(crate) fn answered(&self, method: &str, route: Option<&str>, status: u16, took: Duration) {
        let known = METHODS.iter().find(|known| **known == method);
        let labels = Answered {
            method: known.copied().unwrap_or("other"),
            route: route.unwrap_or(NONE).into(),
            status: status.into(),
        };
        let answers = self.answers.get_or_create(&labels);
        answers.observe(took.as_secs_f64());
    }

    /// A request was let in by no key.
    pub(crate) fn auth_failed(&self, failure: AuthFailure) {
        let reason = failure.as_str();
        self.auth_failures.get_or_create(&Reason { reason }).inc();
    }
}
