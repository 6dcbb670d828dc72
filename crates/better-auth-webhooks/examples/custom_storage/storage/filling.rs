use std::time::Duration;

use better_auth_webhooks::storage::spi::Claim;
use better_auth_webhooks::{Timestamp, WebhookEndpoint};

use super::row::Row;

/// How many of the deliveries come that are ready of an endpoint, in which order they are. Where
/// they go in batches and none is due, the time at which one is.
pub(crate) fn due(
    endpoint: &WebhookEndpoint,
    ready: &[&Row],
    room: usize,
    now: Timestamp,
) -> Result<usize, Timestamp> {
    let most = room.min(ready.len());
    let first_due = ready.iter().map(|row| row.record.delivery.due_at).min();
    let (Some(batch), Some(first_due)) = (endpoint.batch, first_due) else {
        return Ok(most);
    };
    let until = first_due.after(Duration::from_millis(batch.max_wait_ms));
    let of_one = batch.max_events as usize;
    match until > now {
        false => Ok(most),
        true if ready.len() < of_one => Err(until),
        // The rest goes on to fill a batch.
        true if most > of_one => Ok(most - most % of_one),
        true => Ok(most),
    }
}

/// How many deliveries the claim takes of an endpoint, at most.
pub(crate) fn room(claim: &Claim<'_>, endpoint: &WebhookEndpoint) -> usize {
    let own = claim.room.iter().find(|r| *r.endpoint_id == *endpoint.id);
    let usual = claim.per_endpoint.saturating_mul(per_turn(endpoint));
    own.map_or(usual, |r| r.deliveries)
}

/// How many deliveries of an endpoint come in one turn: those of one request.
pub(crate) fn per_turn(endpoint: &WebhookEndpoint) -> usize {
    endpoint.batch.map_or(1, |batch| batch.max_events as usize)
}
