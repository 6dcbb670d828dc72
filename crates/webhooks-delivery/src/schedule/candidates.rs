//! Whom an event is for, as far as its type and its tenant tell, with what is still to be asked of
//! its content.
//!
//! Endpoints are found under the lock of the scheduler, by an index. What is in an event is looked at
//! outside of it: to read a large payload takes far longer than a look-up.

use webhooks_core::{ContentFilter, EventContent, WebhookEvent};

use super::lane::Lane;
use super::recipient::Recipient;

/// The endpoints that take events of a type and a tenant, each once.
#[derive(Debug, Default)]
#[must_use = "the content of the event is still to be asked about"]
pub(crate) struct Candidates {
    recipients: Vec<Recipient>,
    /// Of those that have a filter, by their place; by growing place.
    filters: Vec<(usize, ContentFilter)>,
}

impl Candidates {
    /// One endpoint that an event is sent to by name: whatever is in the event.
    pub(crate) fn by_name(recipient: Recipient) -> Self {
        Self {
            recipients: vec![recipient],
            filters: Vec::new(),
        }
    }

    /// How many there are at most, whatever is in the event.
    pub(crate) fn len(&self) -> usize {
        self.recipients.len()
    }

    /// All of them, where none has a filter.
    pub(crate) fn of_any_content(&self) -> Option<&[Recipient]> {
        self.filters.is_empty().then_some(&self.recipients)
    }

    /// Those that take this event. Its payload is read once, and not at all if none has a filter.
    pub(crate) fn that_take(self, event: &WebhookEvent) -> Vec<Recipient> {
        let Self {
            mut recipients,
            filters,
        } = self;
        if filters.is_empty() {
            return recipients;
        }
        let content = EventContent::of(event);
        let mut filters = filters.into_iter().peekable();
        let mut place = 0;
        recipients.retain(|_| {
            let filter = filters.next_if(|(of, _)| *of == place);
            place += 1;
            filter.is_none_or(|(_, filter)| filter.matches(&content))
        });
        recipients
    }
}

impl<'a> FromIterator<&'a Lane> for Candidates {
    fn from_iter<L: IntoIterator<Item = &'a Lane>>(lanes: L) -> Self {
        let mut filters = Vec::new();
        let lanes = lanes.into_iter().enumerate().map(|(place, lane)| {
            if let Some(filter) = &lane.record.endpoint.filter {
                filters.push((place, filter.clone()));
            }
            Recipient::of(lane)
        });
        let recipients = lanes.collect();
        Self {
            recipients,
            filters,
        }
    }
}
