//! What a request is answered with.

use std::time::Duration;

use bytes::Bytes;
use webhooks_core::FailureKind;

/// The longest time to be left alone that the system takes from an endpoint.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 3_600);

/// What a request is answered with.
///
/// ```
/// use std::time::Duration;
///
/// use webhooks_testing::Reply;
///
/// let busy = Reply::status(429).retry_after(Duration::from_secs(60));
/// let slow = Reply::status(200).after(Duration::from_secs(2));
/// assert_eq!(Reply::from(204), Reply::status(204));
/// # drop((busy, slow));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "it answers nothing until it is given to a ScriptedTransport"]
pub struct Reply {
    pub(crate) kind: Kind,
    pub(crate) after: Duration,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) body: Bytes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Status(u16),
    Failure(FailureKind),
    NotTried,
}

impl Reply {
    /// A response with this status, with no body.
    pub const fn status(status: u16) -> Self {
        Self::new(Kind::Status(status))
    }

    /// No response, for this reason: [`FailureKind::Connect`], for example.
    pub const fn failure(failure: FailureKind) -> Self {
        Self::new(Kind::Failure(failure))
    }

    /// No response until the attempt's timeout has passed.
    pub const fn hang() -> Self {
        Self::status(200).after(Duration::MAX)
    }

    /// Nothing is sent, because this process lacks something. It is no attempt, and is made again a
    /// little later.
    pub const fn not_tried() -> Self {
        Self::new(Kind::NotTried)
    }

    /// Comes so much later. An attempt whose timeout passes before fails with
    /// [`FailureKind::Timeout`]. Defaults to at once.
    pub const fn after(mut self, delay: Duration) -> Self {
        self.after = delay;
        self
    }

    /// Asks to be left alone for so long, as the header `Retry-After` does; more than 24 h count as
    /// 24 h.
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait.min(MAX_RETRY_AFTER));
        self
    }

    /// With this body. Defaults to none.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    const fn new(kind: Kind) -> Self {
        Self {
            kind,
            after: Duration::ZERO,
            retry_after: None,
            body: Bytes::new(),
        }
    }
}

/// A response with this status.
impl From<u16> for Reply {
    fn from(status: u16) -> Self {
        Self::status(status)
    }
}
