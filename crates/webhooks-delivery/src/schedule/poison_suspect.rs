//! Deliveries that may bring the process down.
//!
//! A delivery can bring the process down, by a payload that a transport of the user's chokes on,
//! say. All that a dead process held gets one more crash, guilty or not. With several suspects in
//! one process each death would count for all of them, and innocent ones would end as poison.

use webhooks_core::{DeliveryId, WebhookDelivery};

/// The place of the one poison suspect that this process holds, or asks for. There is one place,
/// so that the next death shows which delivery is guilty.
#[derive(Debug, Default)]
pub(super) enum PoisonSuspect {
    #[default]
    None,
    /// A claim that may bring one is on its way.
    Asked,
    /// This one, until what came of it is stored: until then a death of the process is blamed on it.
    Held(DeliveryId),
}

impl PoisonSuspect {
    /// Takes the place for what a claim brings, if it is free.
    pub(super) fn ask(&mut self) -> bool {
        let is_free = matches!(self, Self::None);
        if is_free {
            *self = Self::Asked;
        }
        is_free
    }

    /// The claim that asked has brought these.
    ///
    /// An answer with no suspect frees the place for the next claim.
    pub(super) fn brought(&mut self, deliveries: &[WebhookDelivery]) {
        let suspect = deliveries.iter().find(|d| d.is_poison_suspect());
        *self = suspect.map_or(Self::None, |suspect| Self::Held(suspect.id));
    }

    /// Whether the place became free, now that what came of this delivery is stored.
    pub(super) fn settled(&mut self, id: DeliveryId) -> bool {
        let is_settled = matches!(self, Self::Held(held) if *held == id);
        if is_settled {
            *self = Self::None;
        }
        is_settled
    }
}
