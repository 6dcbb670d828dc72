//! What the listing of deliveries can answer: the defaults of calls that a storage may answer
//! faster.

use std::collections::HashMap;

use super::spi::HeldLease;
use super::{DeliveryQuery, GroupBy, GroupKey, Groups, MAX_PAGE, WebhookStorage};
use crate::{DeliveryId, DeliveryState, Result, WorkerId};

/// How many match, at most so many.
pub(super) async fn count<S: WebhookStorage + ?Sized>(
    storage: &S,
    query: &DeliveryQuery,
    at_most: u64,
) -> Result<u64> {
    let groups = groups(storage, query, &[], at_most).await?;
    Ok(groups.counted)
}

/// How many of the newest that match are in each group.
pub(super) async fn count_by<S: WebhookStorage + ?Sized>(
    storage: &S,
    query: &DeliveryQuery,
    by: &[GroupBy],
    at_most: u64,
) -> Result<Groups> {
    GroupBy::validate(by)?;
    groups(storage, query, by, at_most).await
}

async fn groups<S: WebhookStorage + ?Sized>(
    storage: &S,
    query: &DeliveryQuery,
    by: &[GroupBy],
    at_most: u64,
) -> Result<Groups> {
    let mut query = DeliveryQuery {
        limit: MAX_PAGE,
        before: None,
        with_attempts: false,
        ..query.clone()
    };
    query.validate()?;
    let (mut groups, mut left) = (HashMap::new(), at_most);
    while left > 0 {
        query.limit = usize::try_from(left).unwrap_or(MAX_PAGE).min(MAX_PAGE);
        let page = storage.deliveries(&query).await?;
        left -= left.min(page.items.len() as u64);
        for record in page.items {
            *groups.entry(GroupKey::of(&record, by)).or_insert(0) += 1;
        }
        query.before = page.next;
        if query.before.is_none() {
            return Ok(Groups::new(groups, false));
        }
    }
    Ok(Groups::new(groups, true))
}

/// What a worker has leased, of all that anybody has.
pub(super) async fn leases<S: WebhookStorage + ?Sized>(
    storage: &S,
    worker: &WorkerId,
    after: Option<DeliveryId>,
    limit: usize,
) -> Result<Vec<HeldLease>> {
    let mut query = DeliveryQuery {
        states: vec![DeliveryState::Leased],
        limit: MAX_PAGE,
        ..DeliveryQuery::default()
    };
    let mut held = Vec::new();
    loop {
        let page = storage.deliveries(&query).await?;
        let deliveries = page.items.into_iter().map(|record| record.delivery);
        held.extend(deliveries.filter_map(|delivery| {
            let lease = delivery.lease.filter(|lease| lease.worker == *worker)?;
            Some(HeldLease {
                delivery_id: delivery.id,
                endpoint_id: delivery.endpoint_id,
                token: lease.token,
            })
        }));
        query.before = page.next;
        if query.before.is_none() {
            break;
        }
    }
    held.retain(|lease| after.is_none_or(|after| lease.delivery_id > after));
    held.sort_unstable_by_key(|lease| lease.delivery_id);
    held.truncate(limit);
    Ok(held)
}
