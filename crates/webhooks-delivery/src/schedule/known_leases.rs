//! The leases that this process knows of.
//!
//! After a call whose answer was lost, the storage may hold leases for this process of which it
//! knows nothing; they would stay leased for as long as the process beats. This is the other side
//! of the comparison: what is leased according to the storage and unknown here is lost.
//!
//! The opposite mistake would send twice: a delivery that is just arriving must not be given back
//! and started as well. A lease that was given back is therefore marked, and an answer that still
//! brings it finds the mark.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use webhooks_core::storage::spi::HeldLease;
use webhooks_core::{DeliveryId, WebhookDelivery};

/// For longer than any call of a storage takes.
/// Marks older than that are dropped, or they would pile up in a process that lives long.
const REMEMBERED: Duration = Duration::from_secs(600);

/// A lease: no other of the same delivery has its token.
pub(crate) type LeaseKey = (DeliveryId, u64);

/// The leases that answers of the storage brought, until what came of them is stored: in a lane, on
/// the way there, in flight, or being written down.
#[derive(Debug, Default)]
pub(super) struct KnownLeases {
    /// With a quick hash: nobody outside chooses ids, and each delivery is looked up twice.
    held: hashbrown::HashSet<LeaseKey>,
    /// When each was; empty nearly always, so that an arrival pays for one look-up.
    given_back: hashbrown::HashMap<LeaseKey, Instant>,
}

impl KnownLeases {
    /// Takes note of a delivery that an answer brought. It must not be taken in hand if its lease was
    /// given back as lost while that answer was on its way.
    ///
    /// `false` leaves nothing to do: the lease was released under its token.
    pub(super) fn arrives(&mut self, delivery: &WebhookDelivery) -> bool {
        let Some(lease) = &delivery.lease else {
            return true;
        };
        let key = (delivery.id, lease.token);
        let is_ours = self.given_back.is_empty() || !self.given_back.contains_key(&key);
        if is_ours {
            self.held.insert(key);
        }
        is_ours
    }

    /// What came of this one is stored.
    pub(super) fn settled(&mut self, lease: &LeaseKey) {
        self.held.remove(lease);
    }

    /// All of them.
    #[cfg(test)]
    pub(super) const fn held(&self) -> &hashbrown::HashSet<LeaseKey> {
        &self.held
    }

    /// Parts what the storage says is held here, and nobody here knows of, in what is lost, since it
    /// was `seen` so before, and what is not yet. What is lost may still be brought by an answer, but
    /// will not be taken: the look and the mark are one step, so that an answer comes before or after.
    pub(super) fn lose(
        &mut self,
        told: Vec<HeldLease>,
        seen: &HashSet<LeaseKey>,
        now: Instant,
    ) -> (Vec<HeldLease>, Vec<HeldLease>) {
        let unknown = told
            .into_iter()
            .filter(|lease| !self.held.contains(&key(lease)));
        let (lost, new): (Vec<_>, Vec<_>) = unknown.partition(|lease| seen.contains(&key(lease)));
        self.given_back
            .retain(|_, at| now.saturating_duration_since(*at) < REMEMBERED);
        self.given_back
            .extend(lost.iter().map(|lease| (key(lease), now)));
        (lost, new)
    }
}

/// The lease that a storage tells of.
pub(crate) const fn key(lease: &HeldLease) -> LeaseKey {
    (lease.delivery_id, lease.token)
}
