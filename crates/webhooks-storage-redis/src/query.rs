//! Listing deliveries, and counting what they have in common, partition by partition.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::try_join_all;
use uuid::Uuid;
use webhooks_core::storage::{
    DeliveryQuery, DeliveryRecord, GroupBy, GroupKey, Groups, MAX_PAGE, Page,
};
use webhooks_core::{DeliveryId, EventType, Result, WebhookEvent};

use crate::attempt_lines::read_attempt;
use crate::filter::{delivery_filter, text};
use crate::kept_events::Events;
use crate::plain_storage::PlainStorage;
use crate::reply::{Reply, named};
use crate::rows::Row;
use crate::script::Script;

/// Rows that one run of a script lists at most.
const MOST_LISTED: usize = 500;

/// The part of a query that a partition answers.
#[derive(Clone, Debug)]
pub(crate) struct QueryPart {
    pub(crate) partition: usize,
    /// Those of the query's endpoints that are kept there, if it names any.
    pub(crate) endpoints: Option<Vec<Arc<str>>>,
}

impl PlainStorage {
    /// A page of deliveries, of those that each partition lists.
    pub(crate) async fn list(&self, query: &DeliveryQuery) -> Result<Page<DeliveryRecord>> {
        let parts = self.parts_of(query);
        let lists = parts.iter().map(|part| self.list_part(part, query));
        let mut items: Vec<_> = try_join_all(lists).await?.into_iter().flatten().collect();
        items.sort_unstable_by_key(|item| std::cmp::Reverse(item.delivery.id));
        items.truncate(query.limit);
        let last = items.last().map(|item| item.delivery.id);
        let next = last.filter(|_| items.len() == query.limit);
        Ok(Page::new(items, next))
    }

    /// Which partitions may hold something that matches, in a fixed order.
    pub(crate) fn parts_of(&self, query: &DeliveryQuery) -> Vec<QueryPart> {
        let keys = &self.connection.keys;
        if query.ids.as_ref().is_some_and(Vec::is_empty) {
            return Vec::new();
        }
        let Some(ids) = &query.endpoint_ids else {
            let all = 0..keys.partitions();
            let part = |partition| QueryPart {
                partition,
                endpoints: None,
            };
            return all.map(part).collect();
        };
        // Each once, as its deliveries are to be found.
        let mut by_partition: BTreeMap<usize, Vec<Arc<str>>> = BTreeMap::new();
        for id in ids.iter().collect::<BTreeSet<_>>() {
            let of = by_partition.entry(keys.partition_of(id)).or_default();
            of.push(id.clone());
        }
        let parts = by_partition.into_iter();
        parts
            .map(|(partition, endpoints)| QueryPart {
                partition,
                endpoints: Some(endpoints),
            })
            .collect()
    }

    /// The first deliveries of a partition that match, as many as the page may hold, some in each run of
    /// the script: it reads no more than a thousand rows, whether they match or not.
    async fn list_part(
        &self,
        part: &QueryPart,
        query: &DeliveryQuery,
    ) -> Result<Vec<DeliveryRecord>> {
        let mut records = Vec::new();
        let mut before = query.before.map(|id| text(id.as_uuid()));
        while records.len() < query.limit {
            let most = (query.limit - records.len()).min(MOST_LISTED);
            let mut args = delivery_filter(query, part.endpoints.as_deref(), before.as_deref());
            args.number(most).flag(query.with_attempts);
            let run = self
                .connection
                .run(part.partition, Script::Deliveries, "0", &args);
            let mut reply = run.await?;
            let (mut list, events) = (reply.list()?, Events::read(reply.list()?)?);
            while !list.is_over() {
                records.push(record(&mut list, &events)?);
            }
            before = Some(reply.text()?).filter(|next| !next.is_empty());
            if before.is_none() {
                break;
            }
        }
        Ok(records)
    }

    /// Goes through what matches, newest first, until so many are counted.
    pub(crate) async fn count_groups(
        &self,
        query: &DeliveryQuery,
        by: &[GroupBy],
        at_most: u64,
    ) -> Result<Groups> {
        let (mut groups, mut left) = (HashMap::new(), at_most);
        let mut before = None;
        while left > 0 {
            let limit = usize::try_from(left).unwrap_or(MAX_PAGE).min(MAX_PAGE);
            let page = self.group_page(query, by, before, limit).await?;
            let is_last = page.len() < limit;
            left -= left.min(page.len() as u64);
            for (id, key) in page {
                before = Some(id);
                *groups.entry(key).or_insert(0) += 1;
            }
            if is_last {
                return Ok(Groups::new(groups, false));
            }
        }
        Ok(Groups::new(groups, true))
    }

    /// The groups of the deliveries that come next, newest first.
    async fn group_page(
        &self,
        query: &DeliveryQuery,
        by: &[GroupBy],
        before: Option<Uuid>,
        limit: usize,
    ) -> Result<Vec<(Uuid, GroupKey)>> {
        let parts = self.parts_of(query);
        let lists = parts
            .iter()
            .map(|part| self.group_part(part, query, by, before, limit));
        let mut items: Vec<_> = try_join_all(lists).await?.into_iter().flatten().collect();
        items.sort_unstable_by_key(|(id, _)| std::cmp::Reverse(*id));
        items.truncate(limit);
        Ok(items)
    }

    /// Those of one partition. No payloads are read, as the listing would.
    async fn group_part(
        &self,
        part: &QueryPart,
        query: &DeliveryQuery,
        by: &[GroupBy],
        before: Option<Uuid>,
        limit: usize,
    ) -> Result<Vec<(Uuid, GroupKey)>> {
        let mut found = Vec::new();
        let mut before = before.map(text);
        while found.len() < limit {
            let mut args = delivery_filter(query, part.endpoints.as_deref(), before.as_deref());
            args.number(limit - found.len())
                .flag(by.contains(&GroupBy::EventType));
            let run = self
                .connection
                .run(part.partition, Script::CountBy, "0", &args);
            let mut reply = run.await?;
            let mut list = reply.list()?;
            while !list.is_over() {
                found.push((list.uuid()?, group(&mut list, by)?));
            }
            before = Some(reply.text()?).filter(|next| !next.is_empty());
            if before.is_none() {
                break;
            }
        }
        Ok(found)
    }
}

/// A delivery with its attempts. One that was erased shows no payload, though its event may have one.
fn record(list: &mut Reply, events: &Events) -> Result<DeliveryRecord> {
    let (id, line) = (list.uuid()?, list.text()?);
    let row = Row::read(&line)?;
    let mut record = row.record(id, events)?;
    if row.is_erased() {
        record.delivery.event = Arc::new(WebhookEvent {
            payload: Bytes::new(),
            ..(*record.delivery.event).clone()
        });
    }
    let mut lines = list.list()?;
    while !lines.is_over() {
        let attempt = read_attempt(DeliveryId::from_uuid(id), &lines.bytes()?)?;
        record.attempts.push(attempt);
    }
    Ok(record)
}

/// The group of a delivery, of what was asked for.
fn group(list: &mut Reply, by: &[GroupBy]) -> Result<GroupKey> {
    let (endpoint, reason, failure) = (list.text()?, list.text()?, list.text()?);
    let event_type = list.text()?;
    let mut key = GroupKey::default();
    let is_wanted = |of: GroupBy, text: &str| by.contains(&of) && !text.is_empty();
    if is_wanted(GroupBy::EndpointId, &endpoint) {
        key.endpoint_id = Some(endpoint.into());
    }
    if is_wanted(GroupBy::DeadReason, &reason) {
        key.dead_reason = Some(named(&reason)?);
    }
    if is_wanted(GroupBy::LastFailure, &failure) {
        key.last_failure = Some(named(&failure)?);
    }
    if is_wanted(GroupBy::EventType, &event_type) {
        key.event_type = Some(EventType::new(&event_type)?);
    }
    Ok(key)
}
