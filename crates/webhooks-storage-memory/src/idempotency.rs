//! Idempotency keys: what the first event of a key became, for 24 hours.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use webhooks_core::storage::spi::{Fingerprint, IDEMPOTENCY_WINDOW, NewEvent};
use webhooks_core::{DeliveryId, EventId, Timestamp};

/// A key and whose it is.
///
/// Each tenant has keys of its own, and so have events without a tenant: one must not be able to
/// silence another's events by guessing keys.
pub(crate) type TenantKey = (Option<Arc<str>>, Arc<str>);

/// What the first event of a key became.
#[derive(Clone, Debug)]
pub(crate) struct FirstSend {
    pub(crate) event_id: EventId,
    /// What the key stands for, if the first event told.
    pub(crate) fingerprint: Option<Fingerprint>,
    pub(crate) delivery_ids: Vec<DeliveryId>,
    /// When the key was used first; repeats do not lengthen the window.
    at: Timestamp,
}

/// The idempotency keys of the last 24 hours.
#[derive(Debug, Default)]
pub(crate) struct IdempotencyKeys {
    /// What the first call of each key became.
    sent: HashMap<TenantKey, FirstSend>,
    by_age: VecDeque<(Timestamp, TenantKey)>,
}

impl IdempotencyKeys {
    /// The first use of a key, if its window is not over. The time is compared here too, since
    /// `expire` may lag behind.
    pub(crate) fn get(&self, key: &TenantKey, now: Timestamp) -> Option<&FirstSend> {
        self.sent.get(key).filter(|first| !is_over(first.at, now))
    }

    /// Keeps what an event made; of the same event, what it made besides.
    ///
    /// An event comes more than once when its call is sent again, and when a fan-out stores its
    /// parts.
    pub(crate) fn insert(
        &mut self,
        key: TenantKey,
        new: &NewEvent,
        mut delivery_ids: Vec<DeliveryId>,
        at: Timestamp,
    ) {
        let event_id = new.event.id;
        let known = self.sent.get_mut(&key);
        if let Some(known) = known.filter(|known| known.event_id == event_id) {
            // A set, since a fan-out adds thousands of ids to thousands.
            let there: HashSet<_> = known.delivery_ids.iter().copied().collect();
            delivery_ids.retain(|id| !there.contains(id));
            known.delivery_ids.append(&mut delivery_ids);
            return;
        }
        delivery_ids.shrink_to_fit();
        let first = FirstSend {
            event_id,
            fingerprint: new.fingerprint,
            delivery_ids,
            at,
        };
        // Callers' times may be slightly out of order. A younger entry in front then only delays
        // the expiry of what is behind it.
        self.by_age.push_back((at, key.clone()));
        self.sent.insert(key, first);
    }

    pub(crate) fn len(&self) -> usize {
        self.sent.len()
    }

    /// Forgets the keys whose time is over.
    ///
    /// Cheap enough for each call: it looks at no key that stays.
    pub(crate) fn expire(&mut self, now: Timestamp) {
        while self.by_age.front().is_some_and(|(at, _)| is_over(*at, now)) {
            let Some((at, key)) = self.by_age.pop_front() else {
                break;
            };
            // The key may have been used again since; then it has a later entry.
            if self.sent.get(&key).is_some_and(|first| first.at == at) {
                self.sent.remove(&key);
            }
        }
    }
}

fn is_over(at: Timestamp, now: Timestamp) -> bool {
    at.after(IDEMPOTENCY_WINDOW) <= now
}
