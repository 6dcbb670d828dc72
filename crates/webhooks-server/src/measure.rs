//! What is counted of the server itself, where somebody counts.

#[cfg(feature = "telemetry")]
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "telemetry")]
use webhooks_telemetry::{AuthFailure, Telemetry};

/// Whoever counts; nobody without the feature `telemetry`, or without one that was given.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measure {
    #[cfg(feature = "telemetry")]
    pub(crate) telemetry: Option<Arc<Telemetry>>,
}

/// Why a request was let in by no key.
#[derive(Clone, Copy, Debug)]
pub(crate) enum NotLetIn {
    NoKey,
    BadKey,
    TooManyGuesses,
}

/// A stream that is counted for as long as this lives.
#[derive(Debug)]
pub(crate) struct OpenStream(Measure);

#[cfg_attr(
    not(feature = "telemetry"),
    expect(unused_variables, reason = "nobody counts")
)]
impl Measure {
    /// A request was answered. `route` is the template that it matched.
    pub(crate) fn answered(&self, method: &str, route: Option<&str>, status: u16, took: Duration) {
        #[cfg(feature = "telemetry")]
        if let Some(telemetry) = &self.telemetry {
            telemetry.request_answered(method, route, status, took);
        }
    }

    /// A request was let in by no key.
    pub(crate) fn not_let_in(&self, why: NotLetIn) {
        #[cfg(feature = "telemetry")]
        if let Some(telemetry) = &self.telemetry {
            telemetry.auth_failed(match why {
                NotLetIn::NoKey => AuthFailure::NoKey,
                NotLetIn::BadKey => AuthFailure::BadKey,
                NotLetIn::TooManyGuesses => AuthFailure::TooManyGuesses,
            });
        }
    }

    /// A stream begins.
    pub(crate) fn stream(&self) -> OpenStream {
        #[cfg(feature = "telemetry")]
        if let Some(telemetry) = &self.telemetry {
            telemetry.stream_opened();
        }
        OpenStream(self.clone())
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        #[cfg(feature = "telemetry")]
        if let Some(telemetry) = &self.0.telemetry {
            telemetry.stream_closed();
        }
        #[cfg(not(feature = "telemetry"))]
        let Measure {} = self.0;
    }
}
