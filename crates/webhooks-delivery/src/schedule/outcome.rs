//! What came of an attempt means for its delivery, and for the health of its endpoint.

use webhooks_core::storage::spi::SettleAs;
use webhooks_core::{
    DeadReason, DeliveryResult, FailureKind, RetryStrategy, Timestamp, Verdict, WebhookDelivery,
};

/// Where a delivery goes after an attempt.
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
        Some(FailureKind::UrlRefused | FailureKind::Unbuildable) => None,
        Some(failure) if failure.trips_circuit() => Some(Verdict::Failed),
        Some(_) | None => Some(Verdict::Alive),
    }
}
