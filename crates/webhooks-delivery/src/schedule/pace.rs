//! How quickly an endpoint takes requests, and how many it may get.
//!
//! All of it is an estimate from the last requests of this process, and none of it is stored: a
//! process that starts takes endpoints for unproven, and not for quick.

use std::time::{Duration, Instant};

/// A success this long ago no longer shows that the endpoint is well.
/// Long enough for an endpoint with few events to stay proven, short enough that one which has died
/// since costs no more than a minute's trust.
const RECENT: Duration = Duration::from_secs(60);
/// A request that ended within this time shows that the endpoint is quick.
/// At that pace 16 requests at a time end 160 and more deliveries a second: with twice 16 in hand
/// each claim would bring no more than a fifth of a second of work.
const QUICK: Duration = Duration::from_millis(100);
/// How long a lane pauses after a request that could not be tried; twice as long each time, at most:
const PAUSE: Duration = Duration::from_secs(1);
/// Each pause costs the storage a claim and a release. Half a minute keeps that small, and is how
/// late deliveries go on at most once the cause is mended.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// What may be leased of an endpoint, in times of what may be in flight: twice, so that the next
/// request starts while more is claimed.
pub(super) const DEPTH: usize = 2;
/// More of an endpoint that is quick, so that few claims bring much; of one that is not, others may
/// have use for it.
pub(super) const MAX_DEPTH: usize = 8;

/// How quickly an endpoint takes requests, and how many it may get.
#[derive(Debug)]
pub(super) struct Pace {
    /// Requests in flight at most; grows with each success after a standstill.
    /// `usize::MAX` while there was no standstill: then only the settings bound the lane.
    window: usize,
    last_success: Option<Instant>,
    /// The last request was a success, and a quick one.
    is_quick: bool,
    /// The last so many requests could not be tried.
    untried: u32,
}

impl Pace {
    pub(super) const fn new() -> Self {
        Self {
            window: usize::MAX,
            last_success: None,
            is_quick: false,
            untried: 0,
        }
    }

    pub(super) const fn window(&self) -> usize {
        self.window
    }

    /// Lets so many requests be in flight at a time, and one more with every success, so that a
    /// backlog does not come down as a herd on an endpoint that has just come back.
    pub(super) fn start_from(&mut self, requests: u32) {
        self.window = usize::try_from(requests).unwrap_or(usize::MAX);
    }

    /// A request that began at `started` has ended.
    pub(super) fn ended(&mut self, started: Instant, is_delivered: bool, now: Instant) {
        // It was tried, however it came out.
        self.untried = 0;
        self.is_quick = is_delivered && now.saturating_duration_since(started) < QUICK;
        if is_delivered {
            self.last_success = Some(now);
            self.window = self.window.saturating_add(1);
        }
    }

    /// One more request could not be tried; how long to pause.
    pub(super) fn untried(&mut self) -> Duration {
        self.is_quick = false;
        let doubled = PAUSE.saturating_mul(2_u32.saturating_pow(self.untried));
        self.untried = self.untried.saturating_add(1);
        doubled.min(MAX_PAUSE)
    }

    /// Whether it had a success of late.
    pub(super) fn is_proven(&self, now: Instant) -> bool {
        self.last_success
            .is_some_and(|at| now.saturating_duration_since(at) < RECENT)
    }

    /// What may be leased, in times of what may be in flight.
    pub(super) const fn depth(&self) -> usize {
        if self.is_quick { MAX_DEPTH } else { DEPTH }
    }
}
