//! Storing events with their deliveries, one script per partition. Ids are the sender's, so that
//! what is sent again is stored once.

use std::collections::HashSet;

use futures_util::future::try_join_all;
use uuid::Uuid;
use webhooks_core::storage::spi::{
    Commit, Enqueued, FanOutPart, IDEMPOTENCY_WINDOW, NewDelivery, NewEvent,
};
use webhooks_core::{DeliveryId, EventId, Result, Timestamp, WorkerId};

use crate::args::Args;
use crate::endpoints::REGISTRY;
use crate::fan_out::write_part;
use crate::filter::text;
use crate::kept_events;
use crate::keys::{fingerprint_text, idempotency_name};
use crate::plain_storage::PlainStorage;
use crate::reply::{Reply, ids};
use crate::rows::order_line;
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
    /// The idempotency key stands for something else.
    KeyReused,
}

/// What a partition answered: for each event its place in the call and what became of it, and the last
/// change of a definition if the registry was asked.
#[derive(Debug, Default)]
struct Stored {
    answers: Vec<(usize, Answer)>,
    definitions: u64,
}

impl PlainStorage {
    pub(crate) async fn store_events(
        &self,
        events: &[NewEvent],
        worker: Option<&WorkerId>,
        now: Timestamp,
    ) -> Result<Commit<Enqueued>> {
        if events.is_empty() {
            return Ok(Commit::new(Vec::new()));
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
        let answers: Vec<_> = stored
            .answers
            .into_iter()
            .map(|(_, answer)| answer)
            .collect();
        if answers.iter().any(|answer| matches!(answer, Answer::Gone)) {
            return Ok(None);
        }
        Ok(Some(enqueued(&part.event, answers)))
    }

    /// Stores events, in one script per partition that they touch; and reads the last change of a
    /// definition beside these.
    ///
    /// With several partitions their idempotency keys are the caller's to keep.
    pub(crate) async fn store(
        &self,
        events: &[&NewEvent],
        worker: Option<&WorkerId>,
        now: Timestamp,
    ) -> Result<Commit<Enqueued>> {
        let partitions = 0..self.connection.keys.partitions();
        let calls = partitions.map(|partition| self.store_in(partition, events, None, worker, now));
        let mut answers: Vec<Vec<Answer>> = events.iter().map(|_| Vec::new()).collect();
        let mut definitions = 0;
        for stored in try_join_all(calls).await? {
            definitions = definitions.max(stored.definitions);
            for (index, answer) in stored.answers {
                if let Some(of_event) = answers.get_mut(index) {
                    of_event.push(answer);
                }
            }
        }
        let all = events.iter().zip(answers);
        Ok(Commit {
            answers: all
                .map(|(event, answers)| enqueued(event, answers))
                .collect(),
            definitions,
        })
    }

    /// Whether this partition keeps the event though it has no deliveries: the one of its id does.
    fn keeps_bare(&self, partition: usize, event: &NewEvent) -> bool {
        let home = || {
            self.connection
                .keys
                .partition_of(&text(event.event.id.as_uuid()))
        };
        event.keep && event.deliveries.is_empty() && home() == partition
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
    ) -> Result<Stored> {
        let is_only = self.connection.keys.partitions() == 1;
        let (mut places, mut written, mut total) = (Vec::new(), Args::default(), 0_usize);
        for (place, event) in events.iter().enumerate() {
            let here =
                |d: &&NewDelivery| self.connection.keys.partition_of(&d.endpoint_id) == partition;
            let deliveries: Vec<_> = event.deliveries.iter().filter(here).collect();
            let key = idempotency_name(event).filter(|_| is_only);
            let is_bare = key.is_none() && part.is_none() && !self.keeps_bare(partition, event);
            if deliveries.is_empty() && is_bare {
                continue;
            }
            total += deliveries.len();
            places.push(place);
            write_event(&mut written, event, key.as_deref(), part, &deliveries);
        }
        if places.is_empty() {
            return self.read_definitions(partition).await;
        }
        let mut args = Args::default();
        args.text(worker.map_or("", WorkerId::as_str))
            .number(IDEMPOTENCY_WINDOW.as_millis())
            .number(total)
            .flag(is_only)
            .number(places.len());
        args.append(written);
        let now = now.as_millis().to_string();
        let script = Script::Enqueue;
        let run = self.connection.run_bounded(partition, script, &now, &args);
        let mut reply = run.await?;
        let known = reply.number()?;
        Ok(Stored {
            // The others count their own changes alone.
            definitions: if partition == REGISTRY { known } else { 0 },
            answers: read_answers(&mut reply, places)?,
        })
    }

    /// The last change of a definition, where a call stores nothing in the registry.
    async fn read_definitions(&self, partition: usize) -> Result<Stored> {
        let mut stored = Stored::default();
        if partition == REGISTRY {
            let none = Args::default();
            let run = self
                .connection
                .run(partition, Script::Definitions, "0", &none);
            stored.definitions = run.await?.number()?;
        }
        Ok(stored)
    }
}

/// What became of the events at these places of a call.
fn read_answers(reply: &mut Reply, places: Vec<usize>) -> Result<Vec<(usize, Answer)>> {
    let mut answers = Vec::with_capacity(places.len());
    for place in places {
        let mut answer = reply.list()?;
        let answer = match answer.number::<u8>()? {
            0 => Answer::Stored(ids(&answer.text()?)?),
            1 => Answer::Duplicate(answer.uuid()?, ids(&answer.text()?)?),
            2 => Answer::Gone,
            _ => Answer::KeyReused,
        };
        answers.push((place, answer));
    }
    Ok(answers)
}

/// An event with its deliveries in one partition, as `enqueue.lua` takes it.
fn write_event(
    args: &mut Args,
    new: &NewEvent,
    key: Option<&str>,
    part: Option<&FanOutPart>,
    deliveries: &[&NewDelivery],
) {
    let event = &new.event;
    args.uuid(event.id.as_uuid())
        .written(|to| kept_events::write_event(to, new))
        .number(new.priority.sort_key(event.created_at))
        .flag(new.keep)
        .text(key.unwrap_or_default());
    if key.is_some() {
        args.text(&fingerprint_text(new));
    }
    write_part(args, part);
    args.number(deliveries.len());
    for delivery in deliveries {
        write_delivery(args, delivery, delivery.lease);
    }
}

/// A delivery, as `make.lua` takes it.
pub(crate) fn write_delivery(args: &mut Args, delivery: &NewDelivery, is_leased: bool) {
    args.uuid(delivery.id.as_uuid()).text(&delivery.endpoint_id);
    match delivery.incarnation {
        Some(incarnation) => args.number(incarnation),
        None => args.text(""),
    };
    let (by_name, leased) = (u8::from(delivery.by_name), u8::from(is_leased));
    let order = order_line(delivery.order.as_ref());
    args.number(format_args!("{by_name}{leased}{order}"));
}

/// What became of an event, from what the partitions answered: made in any, it is stored, and a key that
/// was used before says so in one alone.
fn enqueued(event: &NewEvent, answers: Vec<Answer>) -> Enqueued {
    let mut gone = HashSet::new();
    for answer in answers {
        match answer {
            Answer::Stored(missing) => gone.extend(missing),
            Answer::Gone => {}
            Answer::KeyReused => return Enqueued::KeyReused,
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

/// The answer to an event whose key another one has.
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
