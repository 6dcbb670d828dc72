//! What came of an attempt means for its delivery, and for the health of its endpoint.
//!
//! Pure functions of the attempt and the settings, so that the queue by hand
//! ([`WebhookQueue`](crate::WebhookQueue)) settles by the same rules as the scheduler.

use webhooks_core::storage::spi::SettleAs;
use webhooks_core::{
    DeadReason, DeliveryResult, FailureKind, RetryStrategy, Timestamp, Verdict, WebhookDelivery,
};

/// Where a delivery goes after an attempt.
///
/// A delivery is retried at the later of its backoff and the response's `Retry-After`. A permanent
/// failure ends it whatever attempts are left, since the same request would fail the same way.
pub(crate) fn settle_as(
    retry_strategy: &RetryStrategy,
    delivery: &WebhookDelivery,
    result: &DeliveryResult,
    now: Timestamp,
) -> SettleAs {
    let Some(failure) = result.failure() else {
        return SettleAs::Delivered;
    };
    if failure.is_permanent() {
        return SettleAs::Dead {
            reason: DeadReason::PermanentFailure,
        };
    }
    if delivery.is_last_attempt() {
        return SettleAs::Dead {
            reason: DeadReason::AttemptsExhausted,
        };
    }
    let backoff = retry_strategy.calculate_delay(delivery.attempts);
    SettleAs::Retry {
        at: now.after(backoff.max(result.retry_after.unwrap_or_default())),
    }
}

/// What the attempt says of the endpoint's health; nothing, if it was not asked.
pub(super) fn verdict(result: &DeliveryResult) -> Option<Verdict> {
    match result.failure() {
        // This side refused: nothing was asked of the endpoint.
        Some(FailureKind::UrlRefused | FailureKind::Unbuildable) => None,
        Some(failure) if failure.trips_circuit() => Some(Verdict::Failed),
        // A receiver that refuses one event, such as with a 400, is well: its other events go on.
        Some(_) | None => Some(Verdict::Alive),
    }
}
