//! The leases that this process knows of.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;
use webhooks_core::storage::spi::HeldLease;
use webhooks_core::{DeliveryId, WebhookDelivery};

use crate::lock::lock;

/// For longer than any call of a storage takes.
const REMEMBERED: Duration = Duration::from_secs(600);

/// A lease: no other of the same delivery has its token.
pub(crate) type LeaseKey = (DeliveryId, u64);

/// The leases that answers of the storage brought, until what came of them is stored: in a lane, on
/// the way there, in flight, or being written down.
#[derive(Debug, Default)]
pub(crate) struct Leases(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    held: HashSet<LeaseKey>,
    given_back: HashMap<LeaseKey, Instant>,
}

impl Leases {
    /// Takes note of a delivery that an answer brought. It must not be taken in hand if its lease was
    /// given back as lost while that answer was on its way.
    pub(crate) fn arrives(&self, delivery: &WebhookDelivery) -> bool {
        lock(&self.0).arrives(delivery)
    }

    /// The same of all that a claim brought: those that must not be taken in hand are left out.
    pub(crate) fn arrive(&self, deliveries: &mut Vec<WebhookDelivery>) {
        let mut known = lock(&self.0);
        deliveries.retain(|delivery| known.arrives(delivery));
    }

    /// What came of these is stored.
    pub(crate) fn settled(&self, leases: &[LeaseKey]) {
        let mut known = lock(&self.0);
        for lease in leases {
            known.held.remove(lease);
        }
    }

    /// Parts what the storage says is held here, and nobody here knows of, in what is lost, since it
    /// was `seen` so before, and what is not yet. What is lost may still be brought by an answer, but
    /// will not be taken: the look and the mark are one step, so that an answer comes before or after.
    pub(crate) fn lose(
        &self,
        told: Vec<HeldLease>,
        seen: &HashSet<LeaseKey>,
    ) -> (Vec<HeldLease>, Vec<HeldLease>) {
        let mut known = lock(&self.0);
        let unknown = told
            .into_iter()
            .filter(|lease| !known.held.contains(&key(lease)));
        let (lost, new): (Vec<_>, Vec<_>) = unknown.partition(|lease| seen.contains(&key(lease)));
        let now = Instant::now();
        known
            .given_back
            .retain(|_, at| now.duration_since(*at) < REMEMBERED);
        known
            .given_back
            .extend(lost.iter().map(|lease| (key(lease), now)));
        (lost, new)
    }
}

impl Known {
    fn arrives(&mut self, delivery: &WebhookDelivery) -> bool {
        let Some(lease) = &delivery.lease else {
            return true;
        };
        let key = (delivery.id, lease.token);
        let is_ours = !self.given_back.contains_key(&key);
        if is_ours {
            self.held.insert(key);
        }
        is_ours
    }
}

pub(crate) const fn key(lease: &HeldLease) -> LeaseKey {
    (lease.delivery_id, lease.token)
}
