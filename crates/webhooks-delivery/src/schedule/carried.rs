//! What one request carries.
//!
//! What a request carries stays with the scheduler while the request runs. Who makes the request
//! gets a [`Content`], which shares the events and knows of no lease: a task that dies takes no
//! delivery with it.

use std::sync::Arc;

use smallvec::{SmallVec, smallvec};
use webhooks_core::{WebhookDelivery, WebhookEvent};

use crate::one_or_more::OneOrMore;

/// The deliveries that one request carries: one, or a batch.
///
/// The order within a batch is the order of the endpoint's queue, and that of the events in its
/// envelope.
#[derive(Debug)]
pub(super) enum Carried {
    One(WebhookDelivery),
    Batch(Vec<WebhookDelivery>),
}

/// What a request says, for who makes it.
///
/// Only pointers are cloned: the stored bytes of each event are the bytes that are sent.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// One event.
    One(Arc<WebhookEvent>),
    /// Several in an envelope of their own, in order.
    Batch(Vec<Arc<WebhookEvent>>),
}

impl Content {
    /// The events.
    pub(crate) fn events(&self) -> &[Arc<WebhookEvent>] {
        match self {
            Self::One(event) => std::slice::from_ref(event),
            Self::Batch(events) => events,
        }
    }
}

impl Carried {
    /// What is to be sent.
    pub(super) fn content(&self) -> Content {
        match self {
            Self::One(delivery) => Content::One(delivery.event.clone()),
            Self::Batch(deliveries) => {
                Content::Batch(deliveries.iter().map(|d| d.event.clone()).collect())
            }
        }
    }

    /// The deliveries.
    pub(super) fn deliveries(&self) -> &[WebhookDelivery] {
        match self {
            Self::One(delivery) => std::slice::from_ref(delivery),
            Self::Batch(deliveries) => deliveries,
        }
    }

    /// The deliveries, taken out.
    pub(super) fn into_deliveries(self) -> OneOrMore<WebhookDelivery> {
        match self {
            Self::One(delivery) => smallvec![delivery],
            Self::Batch(deliveries) => SmallVec::from_vec(deliveries),
        }
    }
}
