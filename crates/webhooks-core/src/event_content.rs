//! An event as filters see it.

use std::fmt;

use crate::WebhookEvent;
use crate::json_tree::Node;

/// What [content filters](crate::ContentFilter) look at: an event's envelope, read once for however
/// many of them, and its tenant.
///
/// ```
/// use serde_json::json;
/// use webhooks_core::{ContentFilter, EventContent, EventType, Timestamp, WebhookEvent};
///
/// let event_type = EventType::new("order.placed")?;
/// let data = json!({ "total": 120 });
/// let event = WebhookEvent::new(event_type, None, &data, 256 << 10, Timestamp::EPOCH)?;
/// let content = EventContent::of(&event);
/// let filter = ContentFilter::new(json!({ "data": { "total": { "$gte": 100 } } }))?;
/// assert!(filter.matches(&content));
/// # Ok::<(), webhooks_core::WebhookError>(())
/// ```
pub struct EventContent<'a> {
    /// `None` if the payload was erased, or is no JSON object.
    root: Option<Node<'a>>,
}

impl<'a> EventContent<'a> {
    /// Reads the payload of an event. One that was erased, or is no JSON object, passes no filter.
    #[must_use]
    pub fn of(event: &'a WebhookEvent) -> Self {
        let json = std::str::from_utf8(&event.payload).ok();
        let root = json.and_then(Node::read).and_then(|node| match node {
            Node::Map(mut root) => {
                if let Some(tenant) = &event.tenant {
                    root.set("tenant", Node::Text((&**tenant).into()));
                }
                Some(Node::Map(root))
            }
            _ => None,
        });
        Self { root }
    }

    pub(crate) const fn root(&self) -> Option<&Node<'a>> {
        self.root.as_ref()
    }
}

// The data may be personal.
impl fmt::Debug for EventContent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventContent")
            .field("is_json", &self.root.is_some())
            .finish_non_exhaustive()
    }
}
