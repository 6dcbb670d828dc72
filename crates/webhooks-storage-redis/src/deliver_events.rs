//! Further deliveries of events that are kept, each in the partition of its endpoint.

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;
use futures_util::future::try_join_all;
use webhooks_core::storage::spi::{DeliveredEvent, EventDelivery};
use webhooks_core::{DeliveryId, EventId, Result, Timestamp};

use crate::args::Args;
use crate::change::write_sort_keys;
use crate::enqueue::write_delivery;
use crate::plain_storage::PlainStorage;
use crate::reply::malformed;
use crate::script::Script;

/// A delivery, and its place in the call.
type Placed<'a> = (usize, &'a EventDelivery);

impl PlainStorage {
    /// Makes deliveries of kept events: first where the partition of the endpoint has the event, which is
    /// one round trip and mostly all; then, with the event from another partition, the rest.
    pub(crate) async fn deliver_kept(
        &self,
        deliveries: &[EventDelivery],
        now: Timestamp,
    ) -> Result<Vec<DeliveredEvent>> {
        let none = HashMap::new();
        let all: Vec<Placed<'_>> = deliveries.iter().enumerate().collect();
        let mut answers = self.deliver_in_all(&all, &none, now).await?;
        // A partition without the event may get it from another one.
        let is_open = |(place, _): &Placed<'_>| {
            let answer = answers.get(place);
            matches!(
                answer,
                Some(DeliveredEvent::NoEvent | DeliveredEvent::Erased)
            )
        };
        let open: Vec<_> = all.into_iter().filter(is_open).collect();
        if !open.is_empty() && self.connection.keys.partitions() > 1 {
            let (texts, erased) = self.event_texts(&open).await?;
            let mut found = Vec::new();
            for (place, of) in open {
                if texts.contains_key(&of.event_id) {
                    found.push((place, of));
                } else if erased.contains(&of.event_id) {
                    answers.insert(place, DeliveredEvent::Erased);
                }
            }
            answers.extend(self.deliver_in_all(&found, &texts, now).await?);
        }
        Ok(answers.into_values().collect())
    }

    /// Makes deliveries, one script per partition. The answers by their place.
    async fn deliver_in_all(
        &self,
        deliveries: &[Placed<'_>],
        texts: &HashMap<EventId, Bytes>,
        now: Timestamp,
    ) -> Result<BTreeMap<usize, DeliveredEvent>> {
        let mut by_partition: BTreeMap<usize, Vec<Placed<'_>>> = BTreeMap::new();
        for placed in deliveries {
            let endpoint = &placed.1.delivery.endpoint_id;
            let partition = self.connection.keys.partition_of(endpoint);
            by_partition.entry(partition).or_default().push(*placed);
        }
        let calls = by_partition
            .into_iter()
            .map(|(partition, placed)| self.deliver_in(partition, placed, texts, now));
        let answers = try_join_all(calls).await?;
        Ok(answers.into_iter().flatten().collect())
    }

    /// Makes those of one partition, with the texts of events that it may lack.
    async fn deliver_in(
        &self,
        partition: usize,
        placed: Vec<Placed<'_>>,
        texts: &HashMap<EventId, Bytes>,
        now: Timestamp,
    ) -> Result<Vec<(usize, DeliveredEvent)>> {
        let mut args = Args::default();
        write_sort_keys(&mut args, now);
        args.number(placed.len());
        for (_, of) in &placed {
            let text = texts.get(&of.event_id).cloned().unwrap_or_default();
            args.uuid(of.event_id.as_uuid()).bytes(text);
            write_delivery(&mut args, &of.delivery, false);
        }
        let now = now.as_millis().to_string();
        let script = Script::DeliverEvents;
        let run = self.connection.run_bounded(partition, script, &now, &args);
        let mut reply = run.await?;
        let mut answers = Vec::with_capacity(placed.len());
        for (place, _) in placed {
            let mut answer = reply.list()?;
            let answer = match answer.number::<u8>()? {
                0 => DeliveredEvent::Stored,
                1 => DeliveredEvent::Exists(DeliveryId::from_uuid(answer.uuid()?)),
                2 => DeliveredEvent::Missing,
                3 => DeliveredEvent::NoEvent,
                4 => DeliveredEvent::Erased,
                _ => return Err(malformed("names an unknown outcome")),
            };
            answers.push((place, answer));
        }
        Ok(answers)
    }

    /// The events of these deliveries as any partition has them, those with a payload; and those
    /// without one.
    async fn event_texts(
        &self,
        of: &[Placed<'_>],
    ) -> Result<(HashMap<EventId, Bytes>, HashSet<EventId>)> {
        let mut args = Args::default();
        args.number(of.len());
        for (_, of) in of {
            args.uuid(of.event_id.as_uuid());
        }
        let partitions = 0..self.connection.keys.partitions();
        let script = Script::EventTexts;
        let calls = partitions.map(|partition| self.connection.run(partition, script, "0", &args));
        let (mut texts, mut erased) = (HashMap::new(), HashSet::new());
        for mut reply in try_join_all(calls).await? {
            for (_, of) in of {
                let (text, payload_bytes) = (reply.bytes()?, reply.number::<usize>()?);
                if payload_bytes > 0 {
                    texts.insert(of.event_id, text);
                } else if !text.is_empty() {
                    erased.insert(of.event_id);
                }
            }
        }
        Ok((texts, erased))
    }
}
