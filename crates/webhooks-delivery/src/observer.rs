//! Whoever observes this process, if anybody does.
//!
//! Promise: what an observer does wrong changes nothing of what becomes of a delivery.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use webhooks_core::Observe;

/// Whoever observes this process, if anybody does. Without one, telling costs a branch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observer(Option<Arc<dyn Observe>>);

impl Observer {
    pub(crate) const fn new(observer: Option<Arc<dyn Observe>>) -> Self {
        Self(observer)
    }

    /// Whether there is one.
    pub(crate) const fn is_there(&self) -> bool {
        self.0.is_some()
    }

    /// Tells the observer something; the default, if there is none or it panics.
    pub(crate) fn tell<R: Default>(&self, tell: impl FnOnce(&dyn Observe) -> R) -> R {
        let Some(observer) = &self.0 else {
            return R::default();
        };
        // A panic that went on would end the task that told: a request would never be settled.
        let told = catch_unwind(AssertUnwindSafe(|| tell(&**observer)));
        told.unwrap_or_else(|_| {
            tracing::error!("the observer of the system has panicked");
            R::default()
        })
    }
}
