//! Deliveries that may bring the process down.

use std::sync::Mutex;

use webhooks_core::storage::Settlement;
use webhooks_core::{DeliveryId, WebhookDelivery};

use crate::lock::lock;

/// The place of the one poison suspect that this process holds, or asks for. There is one place,
/// so that the next death shows which delivery is guilty.
#[derive(Debug, Default)]
pub(crate) struct SuspectPlace(Mutex<Place>);

#[derive(Debug, Default)]
enum Place {
    #[default]
    Free,
    Asked,
    Taken(DeliveryId),
}

impl SuspectPlace {
    /// Takes the place for what a claim brings, if it is free.
    pub(crate) fn ask(&self) -> bool {
        let mut place = lock(&self.0);
        let is_free = matches!(*place, Place::Free);
        if is_free {
            *place = Place::Asked;
        }
        is_free
    }

    /// The claim that asked has brought these.
    pub(crate) fn brought(&self, deliveries: &[WebhookDelivery]) {
        let suspect = deliveries
            .iter()
            .find(|delivery| delivery.is_poison_suspect());
        *lock(&self.0) = suspect.map_or(Place::Free, |suspect| Place::Taken(suspect.id));
    }

    /// Whether the place became free, now that these settlements are stored. Until then a death of
    /// the process is blamed on what they settle.
    pub(crate) fn settled(&self, settlements: &[Settlement]) -> bool {
        let mut place = lock(&self.0);
        let Place::Taken(id) = *place else {
            return false;
        };
        let is_settled = settlements.iter().any(|s| s.delivery_id == id);
        if is_settled {
            *place = Place::Free;
        }
        is_settled
    }
}
