//! A definition as it is kept in memory.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use crate::WebhookEndpoint;

/// An endpoint's definition that wipes its credentials from memory when it is dropped.
///
/// A [`WebhookEndpoint`] is plain data that callers build and take apart, so it cannot do that
/// itself. What keeps one keeps it in this; a clone of the definition is the caller's to
/// [`wipe`](WebhookEndpoint::wipe).
///
/// ```
/// use webhooks_core::{KeptEndpoint, WebhookEndpoint};
///
/// let kept = KeptEndpoint::from(WebhookEndpoint {
///     id: "billing".into(),
///     ..WebhookEndpoint::default()
/// });
/// assert_eq!(kept.id, "billing");
/// ```
#[derive(Clone, Default, PartialEq)]
pub struct KeptEndpoint(WebhookEndpoint);

impl Deref for KeptEndpoint {
    type Target = WebhookEndpoint;

    fn deref(&self) -> &WebhookEndpoint {
        &self.0
    }
}

impl DerefMut for KeptEndpoint {
    fn deref_mut(&mut self) -> &mut WebhookEndpoint {
        &mut self.0
    }
}

// On every way out of memory: replaced, deleted, or dropped with its holder.
impl Drop for KeptEndpoint {
    fn drop(&mut self) {
        self.0.wipe();
    }
}

impl From<WebhookEndpoint> for KeptEndpoint {
    fn from(endpoint: WebhookEndpoint) -> Self {
        Self(endpoint)
    }
}

impl From<WebhookEndpoint> for Arc<KeptEndpoint> {
    fn from(endpoint: WebhookEndpoint) -> Self {
        Self::new(endpoint.into())
    }
}

impl PartialEq<WebhookEndpoint> for KeptEndpoint {
    fn eq(&self, other: &WebhookEndpoint) -> bool {
        self.0 == *other
    }
}

impl fmt::Debug for KeptEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
