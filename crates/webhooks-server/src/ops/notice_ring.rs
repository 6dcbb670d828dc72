//! The last notices of this process, for whoever listens and comes back.
//!
//! A position among them is a time: a tenant that counted places would learn how much happens at others.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use better_auth_webhooks::{Notice, NoticeStream};
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;
use webhooks_core::DeliveryState;

/// Notices that are kept at most, and their bytes.
const MOST: usize = 4_096;
const MOST_BYTES: usize = 4 << 20;
/// Notices that are handed out together.
const TOGETHER: usize = 64;

/// The last notices of this process.
#[derive(Debug)]
pub(crate) struct NoticeRing {
    /// Tells this process and this run of it from all others.
    node: String,
    began: Instant,
    kept: Mutex<Kept>,
    progress: watch::Sender<Progress>,
}

/// Where a notice stands among all of this run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// Microseconds since the run began, each larger than the one before.
    at: u64,
    /// Notices up to this one.
    count: u64,
}

/// How far the ring is.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    count: u64,
    /// The system has ended: nothing comes any more.
    is_over: bool,
}

/// A notice that was told.
#[derive(Debug)]
pub(crate) struct Told {
    position: Position,
    pub(crate) notice: Notice,
    /// As operators see it.
    pub(crate) json: String,
}

#[derive(Debug, Default)]
struct Kept {
    /// Without gaps: each counts one more than the one before.
    told: VecDeque<Arc<Told>>,
    bytes: usize,
    /// The newest one that is not kept any more.
    floor: Position,
}

/// What comes behind a position.
#[derive(Debug)]
pub(super) enum Behind {
    /// These, and there may be more.
    Told(Vec<Arc<Told>>),
    /// So many that are not kept any more; one can go on from that position.
    Lost(u64, Position),
    /// Nothing yet.
    Nothing,
}

impl NoticeRing {
    /// Listens from now on, until the ring is dropped or the system ends.
    pub(super) fn start(mut notices: NoticeStream) -> Arc<Self> {
        let ring = Arc::new(Self {
            node: Uuid::now_v7().simple().to_string(),
            began: Instant::now(),
            kept: Mutex::default(),
            progress: watch::Sender::default(),
        });
        let listens = Arc::downgrade(&ring);
        tokio::spawn(async move {
            while let Some(notice) = notices.next().await {
                let Some(ring) = listens.upgrade() else {
                    return;
                };
                ring.push(notice);
            }
            if let Some(ring) = listens.upgrade() {
                ring.progress
                    .send_modify(|progress| progress.is_over = true);
            }
        });
        ring
    }

    pub(crate) fn node(&self) -> &str {
        &self.node
    }

    /// Behind the newest one.
    pub(super) fn newest(&self) -> Position {
        self.kept().newest()
    }

    /// The id of a position, for whoever comes back.
    pub(crate) fn id(&self, position: Position) -> String {
        format!("{}-{}", self.node, position.at)
    }

    /// The position with this id, if it is of this run and nothing behind it is lost.
    pub(super) fn find(&self, id: &str) -> Option<Position> {
        let (node, at) = id.split_once('-')?;
        let at: u64 = at.parse().ok().filter(|_| node == self.node)?;
        let kept = self.kept();
        if kept.floor.at == at {
            return Some(kept.floor);
        }
        let found = kept.told.binary_search_by_key(&at, |told| told.position.at);
        found
            .ok()
            .and_then(|at| kept.told.get(at))
            .map(|told| told.position)
    }

    /// What comes behind a position.
    pub(super) fn behind(&self, position: Position) -> Behind {
        let kept = self.kept();
        if let Some(lost @ 1..) = kept.floor.count.checked_sub(position.count) {
            return Behind::Lost(lost, kept.floor);
        }
        let passed = usize::try_from(position.count - kept.floor.count).unwrap_or(usize::MAX);
        let told: Vec<_> = kept
            .told
            .iter()
            .skip(passed)
            .take(TOGETHER)
            .cloned()
            .collect();
        match told.is_empty() {
            true => Behind::Nothing,
            false => Behind::Told(told),
        }
    }

    /// Waits until there is something behind a position; `false` once nothing will come any more.
    pub(super) async fn wait(&self, position: Position) -> bool {
        let mut progress = self.progress.subscribe();
        let is_news = |progress: &Progress| progress.count > position.count || progress.is_over;
        // It cannot fail: the sender lives in `self`.
        match progress.wait_for(is_news).await {
            Ok(progress) => progress.count > position.count,
            Err(_) => false,
        }
    }

    fn push(&self, notice: Notice) {
        let now = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let json = serde_json::to_string(&notice).unwrap_or_default();
        let mut kept = self.kept();
        let newest = kept.newest();
        let position = Position {
            at: now.max(newest.at + 1),
            count: newest.count + 1,
        };
        let told = Told {
            position,
            notice,
            json,
        };
        kept.push(told);
        drop(kept);
        self.progress
            .send_modify(|progress| progress.count = position.count);
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn newest(&self) -> Position {
        self.told.back().map_or(self.floor, |told| told.position)
    }

    /// Keeps one more, and lets go of the oldest.
    fn push(&mut self, told: Told) {
        self.bytes += told.bytes();
        self.told.push_back(Arc::new(told));
        while self.told.len() > MOST || self.bytes > MOST_BYTES {
            let Some(oldest) = self.told.pop_front() else {
                return;
            };
            self.bytes -= oldest.bytes();
            self.floor = oldest.position;
        }
    }
}

impl Told {
    pub(crate) const fn position(&self) -> Position {
        self.position
    }

    /// The endpoint that it is about; none where it is about none, or several.
    pub(super) fn endpoint_id(&self) -> Option<&Arc<str>> {
        match &self.notice {
            Notice::Delivered { delivery }
            | Notice::Retrying { delivery, .. }
            | Notice::Dead { delivery, .. }
            | Notice::Cancelled { delivery, .. } => Some(&delivery.endpoint_id),
            Notice::EndpointChanged { endpoint_id, .. }
            | Notice::EndpointFailing { endpoint_id, .. }
            | Notice::EndpointDisabled { endpoint_id, .. }
            | Notice::CircuitChanged { endpoint_id, .. } => Some(endpoint_id),
            _ => None,
        }
    }

    /// What became of a delivery, if it is about one.
    pub(super) const fn state(&self) -> Option<DeliveryState> {
        match &self.notice {
            Notice::Delivered { .. } => Some(DeliveryState::Delivered),
            Notice::Retrying { .. } => Some(DeliveryState::Scheduled),
            Notice::Dead { .. } => Some(DeliveryState::Dead),
            Notice::Cancelled { .. } => Some(DeliveryState::Cancelled),
            _ => None,
        }
    }

    /// About what it takes, its text twice: once in parts.
    const fn bytes(&self) -> usize {
        size_of::<Self>() + 2 * self.json.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring() -> NoticeRing {
        NoticeRing {
            node: "n".into(),
            began: Instant::now(),
            kept: Mutex::default(),
            progress: watch::Sender::default(),
        }
    }

    fn notice(endpoint_id: &str) -> Notice {
        Notice::EndpointChanged {
            endpoint_id: endpoint_id.into(),
            deleted: false,
        }
    }

    #[test]
    fn who_comes_back_goes_on_where_they_were_or_is_told_that_they_cannot() {
        let ring = ring();
        let start = ring.newest();
        assert!(matches!(ring.behind(start), Behind::Nothing));
        assert_eq!(ring.find(&ring.id(start)), Some(start));
        ring.push(notice("0"));
        let first = ring.newest();
        for _ in 0..MOST {
            ring.push(notice("1"));
        }
        // The first one has gone; behind it nothing is lost.
        assert_eq!(ring.find(&ring.id(first)), Some(first));
        let Behind::Told(told) = ring.behind(first) else {
            panic!("nothing is lost");
        };
        assert_eq!((told.len(), told[0].position.count), (TOGETHER, 2));
        assert_eq!(ring.find(&ring.id(start)), None);
        assert!(matches!(ring.behind(start), Behind::Lost(1, floor) if floor == first));
        for id in ["", "n", "n-", "m-0", "n-x", "n-18446744073709551615"] {
            assert_eq!(ring.find(id), None, "{id}");
        }
    }

    #[test]
    fn it_is_bounded_in_bytes() {
        let ring = ring();
        for _ in 0..MOST {
            ring.push(notice(&"x".repeat(4_000)));
        }
        let kept = ring.kept();
        assert!(kept.bytes <= MOST_BYTES && kept.told.len() > 256);
        assert_eq!(
            kept.bytes,
            kept.told.iter().map(|told| told.bytes()).sum::<usize>()
        );
    }
}
