use bytes::Bytes;
use futures_util::future::try_join_all;
use uuid::Uuid;
use webhooks_core::storage::{Change, Changed, DeliveryQuery, DeliveryRecord, Page};
use webhooks_core::{
    AttemptRecord, DeliveryId, DeliveryState, Priority, Result, Timestamp, WebhookEvent, WorkerId,
};

use crate::args::Args;
use crate::plain_storage::PlainStorage;
use crate::reply::{Reply, malformed, named};
use crate::rows::{Events, Row, tenant_line};
use crate::script::Script;

/// Rows that one run of a script lists at most.
const MOST_LISTED: usize = 500;
/// Rows that one run of a script changes at most, for which it takes some milliseconds.
const MOST_CHANGED: usize = 200;

impl PlainStorage {
    pub(crate) async fn list(&self, query: &DeliveryQuery) -> Result<Page<DeliveryRecord>> {
        let parts = self.partitions_of(query);
        let lists = parts.map(|partition| self.list_part(partition, query));
        let mut items: Vec<_> = try_join_all(lists).await?.into_iter().flatten().collect();
        items.sort_unstable_by_key(|item| std::cmp::Reverse(item.delivery.id));
        items.truncate(query.limit);
        let last = items.last().map(|item| item.delivery.id);
        let next = last.filter(|_| items.len() == query.limit);
        Ok(Page::new(items, next))
    }

    /// Goes through the partitions one after the other. The cursor is where the first of them
    /// stopped: the others may meet again what they have looked at, but not what they have changed.
    pub(crate) async fn change_matching(
        &self,
        query: &DeliveryQuery,
        to: Change,
        limit: usize,
        now: Timestamp,
    ) -> Result<Changed> {
        // First: what a part stores after this, it does not store at all.
        self.end_fan_outs(query, to).await?;
        let (mut changed, mut next) = (0, None);
        for partition in self.partitions_of(query) {
            let left = limit.saturating_sub(changed);
            let part = self.change_part(partition, query, to, left, now).await?;
            changed += part.changed;
            next = next.max(part.next);
        }
        Ok(Changed::new(changed, next))
    }

    fn partitions_of(&self, query: &DeliveryQuery) -> std::ops::Range<usize> {
        match &query.endpoint_id {
            Some(id) => {
                let partition = self.connection.keys.partition_of(id);
                partition..partition + 1
            }
            None => 0..self.connection.keys.partitions(),
        }
    }

    async fn list_part(
        &self,
        partition: usize,
        query: &DeliveryQuery,
    ) -> Result<Vec<DeliveryRecord>> {
        let mut records = Vec::new();
        let mut before = query.before.map(|id| id.as_uuid());
        while records.len() < query.limit {
            let most = (query.limit - records.len()).min(MOST_LISTED);
            let mut args = filter(query, before);
            args.number(most).flag(query.with_attempts);
            let script = Script::Deliveries;
            let mut reply = self.connection.run(partition, script, "0", &args).await?;
            let (mut list, events) = (reply.list()?, Events::read(reply.list()?)?);
            while !list.is_over() {
                records.push(record(&mut list, &events)?);
            }
            before = Uuid::try_parse(&reply.text()?).ok();
            if before.is_none() {
                break;
            }
        }
        Ok(records)
    }

    async fn change_part(
        &self,
        partition: usize,
        query: &DeliveryQuery,
        to: Change,
        limit: usize,
        now: Timestamp,
    ) -> Result<Changed> {
        let mut changed = 0;
        let mut before = query.before.map(|id| id.as_uuid());
        while changed < limit {
            let mut args = filter(query, before);
            args.text(to.as_str())
                .number((limit - changed).min(MOST_CHANGED))
                .number(webhooks_core::unique_number());
            for level in 0..4 {
                args.number(Priority::from_level(level).sort_key(now));
            }
            let script = Script::Change;
            let now = now.as_millis().to_string();
            let answer = self.connection.run(partition, script, &now, &args).await;
            let mut reply = answer.map_err(|error| {
                if before == query.before.map(|id| id.as_uuid()) {
                    error
                } else {
                    // The runs before this one have changed something.
                    error.perhaps_done()
                }
            })?;
            changed += reply.number::<usize>()?;
            before = Uuid::try_parse(&reply.text()?).ok();
            if before.is_none() {
                return Ok(Changed::new(changed, None));
            }
        }
        // Not looked at yet, or only in part.
        let next = before.unwrap_or(Uuid::max());
        Ok(Changed::new(changed, Some(DeliveryId::from_uuid(next))))
    }
}

/// The arguments that say which deliveries.
pub(crate) fn filter(query: &DeliveryQuery, before: Option<Uuid>) -> Args {
    let uuid = |id: Uuid| id.as_hyphenated().to_string();
    let time = |at: Timestamp| at.as_millis().to_string();
    let mut args = Args::default();
    args.option(query.id.map(|id| uuid(id.as_uuid())).as_deref())
        .option(query.event_id.map(|id| uuid(id.as_uuid())).as_deref())
        .option(query.endpoint_id.as_deref())
        .option(query.event_type.as_deref())
        .option(query.tenant.as_deref().map(tenant_line).as_deref())
        .option(query.from.map(time).as_deref())
        .option(query.to.map(time).as_deref())
        .option(query.updated_before.map(time).as_deref())
        .option(before.map(uuid).as_deref())
        .number(query.states.len());
    for state in &query.states {
        args.text(state.as_str());
    }
    args
}

fn record(list: &mut Reply, events: &Events) -> Result<DeliveryRecord> {
    let (id, text) = (list.uuid()?, list.text()?);
    let row = Row::read(&text)?;
    let state = named(row.state)?;
    let worker = (state == DeliveryState::Leased).then(|| WorkerId::named(row.worker));
    let mut delivery = row.delivery(id, events, worker)?;
    if row.is_erased() {
        delivery.event = std::sync::Arc::new(WebhookEvent {
            payload: Bytes::new(),
            ..(*delivery.event).clone()
        });
    }
    let (mut lines, mut attempts) = (list.list()?, Vec::new());
    while !lines.is_over() {
        attempts.push(attempt(delivery.id, &lines.bytes()?)?);
    }
    let mut record = DeliveryRecord::new(delivery, state, row.updated_at()?);
    record.attempts = attempts;
    match state {
        DeliveryState::Dead if !row.reason.is_empty() => {
            record.dead_reason = Some(named(row.reason)?);
        }
        DeliveryState::Cancelled => record.cancel_reason = row.reason.parse().ok(),
        _ => {}
    }
    Ok(record)
}

/// Reads a line of the log.
fn attempt(delivery_id: DeliveryId, line: &Bytes) -> Result<AttemptRecord> {
    let broken = || malformed("holds a broken line of the log");
    let end = line.iter().position(|b| *b == b'\n').ok_or_else(broken)?;
    let text = std::str::from_utf8(line.get(..end).unwrap_or_default()).map_err(|_| broken())?;
    let field = |name: &str| {
        let mut fields = text.split(' ');
        fields.find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
    };
    let number = |name: &str| field(name).and_then(|n| n.parse::<i64>().ok());
    let failure = match field("failure").unwrap_or_default() {
        "" => None,
        name => Some(named(name)?),
    };
    let nanos = number("took").and_then(|n| u64::try_from(n).ok());
    let status = number("status").and_then(|n| u16::try_from(n).ok());
    let attempt = number("n").and_then(|n| u32::try_from(n).ok());
    let started_at = number("at").map(Timestamp::from_millis);
    let mut record = AttemptRecord::new(
        delivery_id,
        attempt.ok_or_else(broken)?,
        started_at.ok_or_else(broken)?,
    );
    record.duration = std::time::Duration::from_nanos(nanos.ok_or_else(broken)?);
    record.status = status.filter(|status| *status != 0);
    record.failure = failure;
    record.response = line.slice(end + 1..);
    record.ambiguous = text.starts_with("ambiguous");
    Ok(record)
}
