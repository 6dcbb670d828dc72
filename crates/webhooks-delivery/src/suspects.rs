//! Deliveries that may bring the process down.

use std::sync::Arc;

use webhooks_core::WebhookDelivery;

use crate::lane::Lane;

/// The number of dead holders that makes a delivery suspect.
const CRASHES: u32 = 2;

/// The place of the one delivery that this process has in hand though two processes died with it.
/// There is one place, so that the next death shows which delivery is guilty.
#[derive(Debug, Default)]
pub(crate) enum Suspects {
    /// None is in hand.
    #[default]
    Free,
    /// This one is in hand; others of the same claim may still be on their way back.
    Waiting(Arc<Lane>, WebhookDelivery),
    /// One runs.
    Running,
}

impl Suspects {
    /// Whether a delivery is one.
    pub(crate) const fn is_suspect(delivery: &WebhookDelivery) -> bool {
        delivery.crashes >= CRASHES
    }

    /// Takes one in, if the place is free; else gives it back.
    pub(crate) fn take_in(
        &mut self,
        lane: &Arc<Lane>,
        delivery: WebhookDelivery,
    ) -> Option<WebhookDelivery> {
        match self {
            Self::Free => {
                *self = Self::Waiting(lane.clone(), delivery);
                None
            }
            Self::Waiting(..) | Self::Running => Some(delivery),
        }
    }

    /// The one that waits, to be run now.
    pub(crate) fn run(&mut self) -> Option<(Arc<Lane>, WebhookDelivery)> {
        let Self::Waiting(..) = self else { return None };
        match std::mem::replace(self, Self::Running) {
            Self::Waiting(lane, delivery) => Some((lane, delivery)),
            Self::Free | Self::Running => None,
        }
    }

    /// The one that ran has ended, or could not start.
    pub(crate) fn ended(&mut self) {
        *self = Self::Free;
    }
}
