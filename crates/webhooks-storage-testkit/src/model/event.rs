use std::sync::Arc;

use webhooks_core::storage::spi::NewEvent;
use webhooks_core::{EventId, Priority, Timestamp, WebhookEvent};

/// An event that is kept.
#[derive(Clone, Debug)]
pub(crate) struct ModelEvent {
    pub(crate) sent: Arc<WebhookEvent>,
    pub(crate) erased: bool,
    pub(crate) priority: Priority,
    pub(super) due_at: Timestamp,
}

impl ModelEvent {
    pub(super) fn of(new: &NewEvent) -> Self {
        Self {
            sent: new.event.clone(),
            erased: false,
            priority: new.priority,
            due_at: new.due_at,
        }
    }

    pub(crate) fn id(&self) -> EventId {
        self.sent.id
    }
}
