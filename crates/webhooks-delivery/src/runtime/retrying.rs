//! The storage's calls that must succeed in the end.

use std::time::Duration;

use webhooks_core::WebhookError;

/// The first pause after a failure.
/// A reconnect or a failover of a pooled connection is often over by then.
const FIRST: Duration = Duration::from_millis(50);
/// The longest pause between two tries.
/// So late at most does work go on once the storage is back.
const LONGEST: Duration = Duration::from_secs(5);

/// The pauses between tries of one call of the storage, which grow; each is drawn between half of
/// what it is and all of it.
///
/// Permanent failures are tried again too: what is given up would be lost or stuck, and somebody
/// may mend the database. Where others wait behind one, it is [parked](super::parked) meanwhile.
#[derive(Debug)]
pub(crate) struct Retrying {
    what: &'static str,
    pause: Duration,
}

impl Retrying {
    /// `what` completes "cannot .., trying again".
    pub(crate) const fn new(what: &'static str) -> Self {
        Self { what, pause: FIRST }
    }

    /// The last try succeeded.
    pub(crate) const fn succeeded(&mut self) {
        self.pause = FIRST;
    }

    /// Logs a failure and waits before the next try.
    pub(crate) async fn pause(&mut self, error: &WebhookError) {
        let (what, pause_ms) = (self.what, self.pause.as_millis());
        let source = error_source(error);
        tracing::warn!(%error, source, pause_ms, "cannot {what}, trying again");
        // Processes that failed together do not come back together.
        tokio::time::sleep(self.pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
        self.pause = (self.pause * 2).min(LONGEST);
    }
}

/// The cause of an error, as a field of a log line.
pub(crate) fn error_source(error: &WebhookError) -> Option<tracing::field::DisplayValue<String>> {
    std::error::Error::source(error).map(|source| tracing::field::display(source.to_string()))
}
