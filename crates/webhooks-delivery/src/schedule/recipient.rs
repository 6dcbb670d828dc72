//! Whom an event is for.

use std::sync::Arc;

use webhooks_core::storage::spi::NewDelivery;
use webhooks_core::{DeliveryId, DeliveryOrder, OnDead, OrderBy, WebhookEvent};

use super::lane::Lane;
use super::lane_id::LaneId;

/// Whom an event is for.
#[derive(Clone, Debug)]
pub(crate) struct Recipient {
    pub(crate) endpoint_id: Arc<str>,
    /// Stored with the delivery, so that an endpoint that is replaced before the commit does not
    /// get it.
    pub(crate) incarnation: u64,
    ordering: OrderBy,
    on_dead: OnDead,
    pub(super) lane: LaneId,
}

impl Recipient {
    pub(super) fn of(lane: &Lane) -> Self {
        Self {
            endpoint_id: lane.endpoint_id.clone(),
            incarnation: lane.incarnation,
            ordering: lane.record.endpoint.ordering,
            on_dead: lane.record.endpoint.on_dead,
            lane: lane.id,
        }
    }

    /// The delivery of this event to it.
    pub(crate) fn delivery(
        &self,
        event: &WebhookEvent,
        id: DeliveryId,
        by_name: bool,
    ) -> NewDelivery {
        NewDelivery {
            id,
            endpoint_id: self.endpoint_id.clone(),
            incarnation: Some(self.incarnation),
            by_name,
            order: self.order(event),
            lease: false,
        }
    }

    /// The order in which this event's delivery to it stands.
    pub(super) fn order(&self, event: &WebhookEvent) -> Option<DeliveryOrder> {
        DeliveryOrder::of(event, self.ordering, self.on_dead)
    }
}
