//! Who is told what the system does.

use std::sync::Arc;

use webhooks_core::{Observe, TracePropagation};

use super::WebhookSystemBuilder;

impl WebhookSystemBuilder {
    /// Who is told what the system does, on the tasks that do it: the `Telemetry` of
    /// `webhooks-telemetry`, or an observer of your own. Defaults to nobody, which costs nothing.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use better_auth_webhooks::{DeliveryEnd, EndedInfo, Observe, WebhookSystem};
    ///
    /// #[derive(Debug)]
    /// struct Deaths;
    ///
    /// impl Observe for Deaths {
    ///     fn delivery_ended(&self, ended: &EndedInfo<'_>) {
    ///         if let DeliveryEnd::Dead(reason) = ended.end {
    ///             eprintln!("{} is dead: {reason}", ended.delivery_id);
    ///         }
    ///     }
    /// }
    ///
    /// let builder = WebhookSystem::builder().observe(Arc::new(Deaths));
    /// ```
    pub fn observe(mut self, observer: Arc<dyn Observe>) -> Self {
        self.settings.observer = Some(observer);
        self
    }

    /// Which trace requests tell their receivers, as `traceparent` and `tracestate`. Defaults to none:
    /// the ids of your traces are no business of your customers.
    ///
    /// ```
    /// use better_auth_webhooks::{TracePropagation, WebhookSystem};
    ///
    /// // for receivers of your own
    /// let builder = WebhookSystem::builder().trace_propagation(TracePropagation::Continue);
    /// ```
    pub const fn trace_propagation(mut self, propagation: TracePropagation) -> Self {
        self.settings.trace_propagation = propagation;
        self
    }
}
