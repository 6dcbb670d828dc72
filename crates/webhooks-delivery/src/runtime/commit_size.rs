//! How much one commit stores.

/// Bytes that one commit stores at most, but for an event that has more: a database has a longest
/// message, and serves others meanwhile only where its calls are short.
pub(crate) const BATCH_BYTES: usize = 8 << 20;
/// What a delivery counts as at least, of these: no commit has more than 256. For as many endpoints
/// Redis takes ten milliseconds, in which it does nothing else.
const DELIVERY_WEIGHT: usize = 32 << 10;

/// What an event with so many deliveries counts as, of the bytes of a commit. Some storages keep the
/// payload with each delivery.
pub(crate) fn weight(payload: usize, deliveries: usize) -> usize {
    let each = payload.max(DELIVERY_WEIGHT);
    each.saturating_mul(deliveries).max(payload)
}

/// Deliveries of an event with this payload that one commit stores at most.
pub(crate) fn most_deliveries(payload: usize) -> usize {
    (BATCH_BYTES / payload.max(DELIVERY_WEIGHT)).max(1)
}
