use webhooks_core::DeliveryState;

use crate::columns::state_code;

/// What is to be added to the counts of one endpoint.
///
/// Gathered over all calls of a transaction: a thousand deliveries of one endpoint change its row once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CountsDelta {
    pub(crate) enqueued: i64,
    pub(crate) purged: i64,
    /// By the number of the state.
    pub(crate) states: [i64; 7],
}

impl CountsDelta {
    /// One more or less in a state.
    pub(crate) fn add(&mut self, state: DeliveryState, by: i64) {
        let index = usize::try_from(state_code(state)).unwrap_or(0);
        if let Some(count) = self.states.get_mut(index) {
            *count += by;
        }
    }
}
