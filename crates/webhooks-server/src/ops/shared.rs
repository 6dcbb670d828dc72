//! What those who listen have in common.

use std::sync::{Arc, Mutex};

use better_auth_webhooks::Metrics;
use tokio::time::Instant;
use webhooks_core::Timestamp;

use super::notice_ring::NoticeRing;

/// What those who listen share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// Made for the first who listens: a system without listeners makes no notices.
    pub(super) ring: Mutex<Option<Arc<NoticeRing>>>,
    /// As they were read for the last who listened.
    pub(super) numbers: tokio::sync::Mutex<Option<(Instant, Numbers)>>,
}

/// The numbers of the whole system, and since when the oldest ready delivery waits.
pub(crate) type Numbers = Arc<(Metrics, Option<Timestamp>)>;
