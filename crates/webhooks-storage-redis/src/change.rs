//! Changes of deliveries by hand, one partition after the other, and of the payloads of events.

use std::collections::HashSet;

use futures_util::future::try_join_all;
use uuid::Uuid;
use webhooks_core::storage::spi::FanOut;
use webhooks_core::storage::{Change, Changed, DeliveryQuery};
use webhooks_core::{DeliveryId, Priority, Result, Timestamp, WebhookError};

use crate::args::Args;
use crate::filter::{delivery_filter, text};
use crate::plain_storage::PlainStorage;
use crate::query::QueryPart;
use crate::reply::Reply;
use crate::script::Script;

/// Rows that one run of a script changes at most, for which it takes some milliseconds.
const MOST_CHANGED: usize = 200;

impl PlainStorage {
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
        let parts = self.parts_of(query);
        for part in &parts {
            let left = limit.saturating_sub(changed);
            let run = self.change_part(part, query, to, left, now).await;
            let of_part = run.map_err(|error| perhaps_done(error, changed))?;
            changed += of_part.changed;
            next = next.max(of_part.next);
        }
        // Last: the deliveries that read them are erased by now, but for what came in between.
        if to == Change::Erase && next.is_none() && query.is_of_events() {
            for part in &parts {
                let erased = self.erase_events(part, query, now).await;
                changed += erased.map_err(|error| perhaps_done(error, changed))?;
            }
        }
        Ok(Changed::new(changed, next))
    }

    /// Changes what matches in one partition, up to the limit, a bounded number in each run of the script.
    async fn change_part(
        &self,
        part: &QueryPart,
        query: &DeliveryQuery,
        to: Change,
        limit: usize,
        now: Timestamp,
    ) -> Result<Changed> {
        let mut changed = 0;
        let first = query.before.map(|id| text(id.as_uuid()));
        let mut before = first.clone();
        while changed < limit {
            let mut args = delivery_filter(query, part.endpoints.as_deref(), before.as_deref());
            write_change(&mut args, to, (limit - changed).min(MOST_CHANGED), now);
            let at = now.as_millis().to_string();
            let run = self
                .connection
                .run(part.partition, Script::Change, &at, &args);
            let mut reply = run.await.map_err(|error| {
                if before == first {
                    error
                } else {
                    // The runs before this one have changed something.
                    error.perhaps_done()
                }
            })?;
            changed += reply.number::<usize>()?;
            before = Some(reply.text()?).filter(|next| !next.is_empty());
            self.empty_elsewhere(part.partition, reply).await?;
            if before.is_none() {
                return Ok(Changed::new(changed, None));
            }
        }
        // Not looked at yet, or only in part.
        let next = before.and_then(|id| Uuid::try_parse(&id).ok());
        let next = next.unwrap_or(Uuid::max());
        Ok(Changed::new(changed, Some(DeliveryId::from_uuid(next))))
    }

    /// Drops the payloads of the events that match. How many deliveries were erased with them: those
    /// that the query does not match by what has changed of them meanwhile.
    async fn erase_events(
        &self,
        part: &QueryPart,
        query: &DeliveryQuery,
        now: Timestamp,
    ) -> Result<usize> {
        let (mut changed, mut before) = (0, None);
        loop {
            let mut args = delivery_filter(query, None, before.as_deref());
            write_change(&mut args, Change::Erase, MOST_CHANGED, now);
            let at = now.as_millis().to_string();
            let script = Script::EraseEvents;
            let run = self.connection.run(part.partition, script, &at, &args);
            let mut reply = run.await?;
            changed += reply.number::<usize>()?;
            before = Some(reply.text()?).filter(|next| !next.is_empty());
            self.empty_elsewhere(part.partition, reply).await?;
            if before.is_none() {
                return Ok(changed);
            }
        }
    }

    /// Drops the payloads of events whose last delivery was erased in a partition, where others keep
    /// them without any; and has those note that they are erased that have never had them, or an event
    /// that is sent again would come back there.
    async fn empty_elsewhere(&self, partition: usize, mut reply: Reply) -> Result<()> {
        let emptied = reply.text()?;
        let mut ids: Vec<_> = emptied.split(' ').filter(|id| !id.is_empty()).collect();
        let left = self
            .run_elsewhere(partition, Script::EmptyEvents, &ids)
            .await?;
        ids.retain(|id| !left.contains(*id));
        drop(
            self.run_elsewhere(partition, Script::NoteErased, &ids)
                .await?,
        );
        Ok(())
    }

    /// Runs a script on these events in all partitions but one. What they answered.
    async fn run_elsewhere(
        &self,
        partition: usize,
        script: Script,
        ids: &[&str],
    ) -> Result<HashSet<String>> {
        let mut answers = HashSet::new();
        if ids.is_empty() {
            return Ok(answers);
        }
        let mut args = Args::default();
        args.number(ids.len());
        for id in ids {
            args.text(id);
        }
        let others = (0..self.connection.keys.partitions()).filter(|other| *other != partition);
        let calls = others.map(|other| self.connection.run(other, script, "0", &args));
        for mut reply in try_join_all(calls)
            .await
            .map_err(WebhookError::perhaps_done)?
        {
            while !reply.is_over() {
                answers.insert(reply.text()?);
            }
        }
        Ok(answers)
    }

    /// Ends the fan-outs of events whose deliveries are changed as a whole.
    async fn end_fan_outs(&self, query: &DeliveryQuery, to: Change) -> Result<()> {
        if !FanOut::may_end_with(query, to) {
            return Ok(());
        }
        let args = delivery_filter(query, None, None);
        let script = Script::EndFanOuts;
        let registry = crate::endpoints::REGISTRY;
        self.connection.run(registry, script, "0", &args).await?;
        Ok(())
    }
}

/// What to do, as `changes.lua` takes it.
fn write_change(args: &mut Args, to: Change, most: usize, now: Timestamp) {
    args.text(to.as_str())
        .number(most)
        .number(webhooks_core::unique_number());
    write_sort_keys(args, now);
}

/// By which keys deliveries of each priority are put in their queues that are sent now.
pub(crate) fn write_sort_keys(args: &mut Args, now: Timestamp) {
    for level in 0..4 {
        args.number(Priority::from_level(level).sort_key(now));
    }
}

/// The error of a part, where others have changed something.
fn perhaps_done(error: WebhookError, changed: usize) -> WebhookError {
    match changed {
        0 => error,
        _ => error.perhaps_done(),
    }
}
