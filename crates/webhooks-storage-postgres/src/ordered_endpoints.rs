use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use webhooks_core::WebhookDelivery;
use webhooks_core::storage::spi::{NewEvent, Settlement};

/// Endpoints of which this process has met deliveries with an order. A settlement of one of theirs
/// locks its order before anything else, so that no two calls wait for each other; of any other one
/// it does not even look.
///
/// It may lack some: the order is then locked when its head ends.
#[derive(Debug, Default)]
pub(crate) struct OrderedEndpoints(Mutex<HashSet<Arc<str>>>);

impl OrderedEndpoints {
    pub(crate) fn met<'a>(&self, deliveries: impl IntoIterator<Item = &'a WebhookDelivery>) {
        let ordered = deliveries.into_iter().filter(|d| d.order.is_some());
        self.add(ordered.map(|d| &d.endpoint_id));
    }

    pub(crate) fn stored(&self, events: &[NewEvent]) {
        let deliveries = events.iter().flat_map(|event| &event.deliveries);
        let ordered = deliveries.filter(|d| d.order.is_some());
        self.add(ordered.map(|d| &d.endpoint_id));
    }

    fn add<'a>(&self, ids: impl Iterator<Item = &'a Arc<str>>) {
        let mut ids = ids.peekable();
        if ids.peek().is_none() {
            return;
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for id in ids {
            if !known.contains(id) {
                known.insert(Arc::clone(id));
            }
        }
    }

    /// The endpoints of these settlements that are known to have orders.
    pub(crate) fn of(&self, settlements: &[Settlement]) -> Vec<Arc<str>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_empty() {
            return Vec::new();
        }
        let ids = settlements.iter().map(|s| &s.endpoint_id);
        ids.filter(|id| known.contains(*id))
            .map(Arc::clone)
            .collect()
    }
}
