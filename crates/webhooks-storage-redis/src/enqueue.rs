//! Storing events with their deliveries, one script per partition. Ids are the sender's, so that
//! what is sent again is stored once.

use std::collections::HashSet;

use futures_util::future::try_join_all;
use uuid::Uuid;
use webhooks_core::storage::spi::{
    Enqueued, FanOutPart, IDEMPOTENCY_WINDOW, NewDelivery, NewEvent,
};
use webhooks_core::{DeliveryId, EventId, Result, Timestamp, WorkerId};

use crate::args::Args;
use crate::fan_out::write_part;
use crate::keys::idempotency_name;
use crate::plain_storage::PlainStorage;
use crate::reply::ids;
use crate::rows;
use crate::script::Script;

/// What a partition answered for one event.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The deliveries that were not made.
    Stored(Vec<Uuid>),
    /// The first event of the idempotency key, and its deliveries.
    Duplicate(Uuid, Vec<Uuid>),
    /// A part of a fan-out that is not there.
    Gone,
}

impl PlainStorage {
    pub(crate) async fn store_events(
        &self,
        events: &[NewEvent],
        worker: Option<&WorkerId>,
        now: Timestamp,
    ) -> Result<Vec<Enqueued>> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let has_key = events.iter().any(|event| event.idempotency_key.is_some());
        if has_key && self.connection.keys.partitions() > 1 {
            return self.store_keyed(events, None, worker, now).await;
        }
        let all: Vec<_> = events.iter().collect();
        self.store(&all, worker, now).await
    }

    /// Stores a part of a fan-out where there is one partition, together with where the next one
    /// goes on.
    pub(crate) async fn store_part_whole(
        &self,
        part: &FanOutPart,
        now: Timestamp,
    ) -> Result<Option<Enqueued>> {
        let events = [&part.event];
        let stored = self.store_in(0, &events, Some(part), None, now).await?;
        let answers: Vec<_> = stored.into_iter().map(|(_, answer)| answer).collect();
        if answers.iter().any(|answer| matches!(answer, Answer::Gone)) {
            return Ok(None);
        }
        Ok(Some(enqueued(&part.event, answers)))
    }

    /// Stores events, in one script per partition that they touch.
    ///
    /// With several partitions their idempotency keys are the caller's to keep.
    pub(crate) async fn store(
        &self,
        events: &[&NewEvent],
        worker: Option<&WorkerId>,
        now: Timestamp,
    ) -> Result<Vec<Enqueued>> {
        let partitions = 0..self.connection.keys.partitions();
        let calls = partitions.map(|partition| self.store_in(partition, events, None, worker, now));
        let mut answers: Vec<Vec<Answer>> = events.iter().map(|_| Vec::new()).collect();
        for (index, answer) in try_join_all(calls).await?.into_iter().flatten() {
            if let Some(of_event) = answers.get_mut(index) {
                of_event.push(answer);
            }
        }
        let all = events.iter().zip(answers);
        Ok(all
            .map(|(event, answers)| enqueued(event, answers))
            .collect())
    }

    /// Stores the part of the events that is kept in this partition. The answers, each with the
    /// place of its event.
    async fn store_in(
        &self,
        partition: usize,
        events: &[&NewEvent],
        part: Option<&FanOutPart>,
        worker: Option<&WorkerId>,
        now: Timestamp,
    ) -> Result<Vec<(usize, Answer)>> {
        let is_only = self.connection.keys.partitions() == 1;
        let (mut places, mut written, mut total) = (Vec::new(), Args::default(), 0_usize);
        for (place, event) in events.iter().enumerate() {
            let here =
                |d: &&NewDelivery| self.connection.keys.partition_of(&d.endpoint_id) == partition;
            let deliveries: Vec<_> = event.deliveries.iter().filter(here).collect();
            let key = idempotency_name(event).filter(|_| is_only);
            if deliveries.is_empty() && key.is_none() && part.is_none() {
                continue;
            }
            total += deliveries.len();
            places.push(place);
            write_event(&mut written, event, key.as_deref(), part, &deliveries);
        }
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let mut args = Args::default();
        args.text(worker.map_or("", WorkerId::as_str))
            .number(IDEMPOTENCY_WINDOW.as_millis())
            .number(total)
            .number(places.len());
        args.append(written);
        let now = now.as_millis().to_string();
        let script = Script::Enqueue;
        let run = self.connection.run_bounded(partition, script, &now, &args);
        let mut reply = run.await?;
        let mut answers = Vec::with_capacity(places.len());
        for place in places {
            let mut answer = reply.list()?;
            let answer = match answer.number::<u8>()? {
                0 => Answer::Stored(ids(&answer.text()?)?),
                1 => Answer::Duplicate(answer.uuid()?, ids(&answer.text()?)?),
                _ => Answer::Gone,
            };
            answers.push((place, answer));
        }
        Ok(answers)
    }
}

fn write_event(
    args: &mut Args,
    new: &NewEvent,
    key: Option<&str>,
    part: Option<&FanOutPart>,
    deliveries: &[&NewDelivery],
) {
    let event = &new.event;
    args.uuid(event.id.as_uuid())
        .written(|to| rows::write_event(to, event))
        .number(event.created_at.as_millis())
        .number(new.priority.level())
        .number(new.priority.sort_key(event.created_at))
        .number(new.due_at.as_millis())
        .number(new.max_retries)
        .text(key.unwrap_or_default());
    write_part(args, part);
    args.number(deliveries.len());
    for delivery in deliveries {
        args.uuid(delivery.id.as_uuid())
            .text(&delivery.endpoint_id)
            .text(
                &delivery
                    .incarnation
                    .map_or_else(String::new, |n| n.to_string()),
            )
            .flag(delivery.by_name)
            .flag(delivery.lease);
    }
}

fn enqueued(event: &NewEvent, answers: Vec<Answer>) -> Enqueued {
    let mut gone = HashSet::new();
    for answer in answers {
        match answer {
            Answer::Stored(missing) => gone.extend(missing),
            Answer::Gone => {}
            Answer::Duplicate(first, deliveries) => return duplicate(first, deliveries),
        }
    }
    let missing: Vec<_> = event.deliveries.iter().map(|d| d.id).collect();
    let missing: Vec<_> = missing
        .into_iter()
        .filter(|id| gone.contains(&id.as_uuid()))
        .collect();
    if missing.len() == event.deliveries.len() {
        Enqueued::NoEndpoint
    } else {
        let dead = Vec::new();
        Enqueued::Stored { missing, dead }
    }
}

pub(crate) fn duplicate(first: Uuid, deliveries: Vec<Uuid>) -> Enqueued {
    // Parts that two nodes made may overlap.
    let mut known = HashSet::with_capacity(deliveries.len());
    let deliveries = deliveries.into_iter().filter(|id| known.insert(*id));
    let deliveries = deliveries.map(DeliveryId::from_uuid);
    Enqueued::Duplicate {
        event_id: EventId::from_uuid(first),
        delivery_ids: deliveries.collect(),
    }
}
