use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use webhooks_core::DeliveryId;
use webhooks_core::storage::spi::Settlement;

/// Unanswered settlements that are remembered.
const MOST: usize = 100_000;

/// The numbers under which outcomes are settled.
///
/// Redis keeps with a delivery under which number it was settled last. An outcome whose answer
/// never came is settled under the same number when the caller tries again, so that it is told
/// that it was applied, not that it is stale.
#[derive(Debug, Default)]
pub(crate) struct SettleRequests {
    unanswered: Mutex<HashMap<(DeliveryId, u64), String>>,
}

/// The numbers of the settlements of one call. Dropped unanswered, they are used again.
#[derive(Debug)]
pub(crate) struct SettleNumbers<'a> {
    requests: &'a SettleRequests,
    numbers: Vec<((DeliveryId, u64), String)>,
    answered: bool,
}

impl SettleRequests {
    pub(crate) fn number(&self, settlements: &[Settlement]) -> SettleNumbers<'_> {
        let call = webhooks_core::unique_number();
        let unanswered = self.unanswered.lock();
        let mut unanswered = unanswered.unwrap_or_else(PoisonError::into_inner);
        let numbers = settlements.iter().enumerate().map(|(place, settlement)| {
            let of = (settlement.delivery_id, settlement.token);
            let number = unanswered.remove(&of);
            (of, number.unwrap_or_else(|| format!("{call:016x}-{place}")))
        });
        let numbers = numbers.collect();
        SettleNumbers {
            requests: self,
            numbers,
            answered: false,
        }
    }
}

impl SettleNumbers<'_> {
    pub(crate) fn get(&self, place: usize) -> &str {
        self.numbers.get(place).map_or("", |(_, number)| number)
    }

    /// The caller has the answer.
    pub(crate) fn answered(mut self) {
        self.answered = true;
    }
}

impl Drop for SettleNumbers<'_> {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        let unanswered = self.requests.unanswered.lock();
        let mut unanswered = unanswered.unwrap_or_else(PoisonError::into_inner);
        if unanswered.len() < MOST {
            unanswered.extend(self.numbers.drain(..));
        }
    }
}
