//! Deliveries that may bring the process down.

use std::collections::VecDeque;
use std::sync::Arc;

use webhooks_core::WebhookDelivery;

use crate::lane::Lane;

/// Suspects in hand at most; the others stay in the storage.
const MOST: usize = 16;

/// The number of dead holders that makes a delivery suspect.
const CRASHES: u32 = 2;

/// Deliveries that two processes died with. One of them runs at a time, so that the next death
/// shows which one is guilty.
#[derive(Debug, Default)]
pub(crate) struct Suspects {
    waiting: VecDeque<(Arc<Lane>, WebhookDelivery)>,
    running: bool,
}

impl Suspects {
    /// Whether a delivery is one.
    pub(crate) const fn is_suspect(delivery: &WebhookDelivery) -> bool {
        delivery.crashes >= CRASHES
    }

    /// Takes one in; gives it back when there are enough.
    pub(crate) fn push(
        &mut self,
        lane: &Arc<Lane>,
        delivery: WebhookDelivery,
    ) -> Option<WebhookDelivery> {
        if self.waiting.len() >= MOST {
            return Some(delivery);
        }
        self.waiting.push_back((lane.clone(), delivery));
        None
    }

    /// The next one to run, unless one runs.
    pub(crate) fn take_next(&mut self) -> Option<(Arc<Lane>, WebhookDelivery)> {
        if self.running {
            return None;
        }
        let next = self.waiting.pop_front();
        self.running = next.is_some();
        next
    }

    /// The one that ran has ended.
    pub(crate) const fn ended(&mut self) {
        self.running = false;
    }

    /// All that wait.
    pub(crate) fn take_waiting(&mut self) -> VecDeque<(Arc<Lane>, WebhookDelivery)> {
        std::mem::take(&mut self.waiting)
    }
}
