//! How many deliveries there are, and who is at work.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::try_join_all;
use webhooks_core::storage::{Counts, WorkerRecord};
use webhooks_core::{Result, Timestamp, WorkerId};

use crate::args::Args;
use crate::plain_storage::PlainStorage;
use crate::reply::Reply;
use crate::script::Script;

/// Endpoints of each kind that one run of a script looks at for what is ready.
const MOST_ENDPOINTS: usize = 250;
/// Endpoints whose counts one run of a script tells.
const MOST_COUNTED: usize = 500;

impl PlainStorage {
    /// The sum of the partitions, read one after the other.
    pub(crate) async fn count_all(&self) -> Result<Counts> {
        let mut sum = Counts::default();
        let mut none = Args::default();
        none.number(0);
        for partition in 0..self.connection.keys.partitions() {
            let script = Script::Counts;
            let mut reply = self.connection.run(partition, script, "0", &none).await?;
            read_counts(&mut reply, &mut sum)?;
        }
        Ok(sum)
    }

    /// The counts of endpoints, in their order; all partitions are asked at the same time.
    pub(crate) async fn count_endpoints(&self, ids: &[Arc<str>]) -> Result<Vec<Counts>> {
        let mut by_partition: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (place, id) in ids.iter().enumerate() {
            let partition = self.connection.keys.partition_of(id);
            by_partition.entry(partition).or_default().push(place);
        }
        let calls = by_partition.iter().flat_map(|(partition, places)| {
            let some = places.chunks(MOST_COUNTED);
            some.map(|places| self.count_some(*partition, places, ids))
        });
        let mut all: Vec<_> = try_join_all(calls).await?.into_iter().flatten().collect();
        all.sort_unstable_by_key(|(place, _)| *place);
        Ok(all.into_iter().map(|(_, counts)| counts).collect())
    }

    /// The counts of some endpoints of a partition, each with its place in the call.
    async fn count_some(
        &self,
        partition: usize,
        places: &[usize],
        ids: &[Arc<str>],
    ) -> Result<Vec<(usize, Counts)>> {
        let mut args = Args::default();
        args.number(places.len());
        for id in places.iter().filter_map(|place| ids.get(*place)) {
            args.text(id);
        }
        let script = Script::Counts;
        let mut reply = self.connection.run(partition, script, "0", &args).await?;
        let mut found = Vec::with_capacity(places.len());
        for place in places {
            let mut counts = Counts::default();
            read_counts(&mut reply, &mut counts)?;
            found.push((*place, counts));
        }
        Ok(found)
    }

    /// When that became due which waits longest of what is first in a queue.
    pub(crate) async fn oldest_due(&self, now: Timestamp) -> Result<Option<Timestamp>> {
        let partitions = 0..self.connection.keys.partitions();
        let calls = partitions.map(|partition| self.oldest_due_in(partition, now));
        Ok(try_join_all(calls).await?.into_iter().flatten().min())
    }

    /// As [`oldest_due`](Self::oldest_due), in one partition, some endpoints at a time. Those that come or
    /// go in between may be missed: it is a figure for people, who ask again.
    async fn oldest_due_in(&self, partition: usize, now: Timestamp) -> Result<Option<Timestamp>> {
        let now = now.as_millis().to_string();
        let (mut oldest, mut first) = (None, 0);
        loop {
            let mut args = Args::default();
            args.number(first).number(MOST_ENDPOINTS);
            let script = Script::OldestReady;
            let mut reply = self.connection.run(partition, script, &now, &args).await?;
            let due = reply.optional()?.map(Timestamp::from_millis);
            oldest = oldest.into_iter().chain(due).min();
            if !reply.flag()? {
                return Ok(oldest);
            }
            first += MOST_ENDPOINTS;
        }
    }

    /// The workers that any partition knows.
    pub(crate) async fn known_workers(&self) -> Result<Vec<WorkerRecord>> {
        let none = Args::default();
        let partitions = 0..self.connection.keys.partitions();
        let script = Script::Workers;
        let calls = partitions.map(|partition| self.connection.run(partition, script, "0", &none));
        let mut all: BTreeMap<String, (Timestamp, u64)> = BTreeMap::new();
        for mut reply in try_join_all(calls).await? {
            while !reply.is_over() {
                let id = reply.text()?;
                let (seen, leased) = (reply.timestamp()?, reply.number::<u64>()?);
                let known = all.entry(id).or_insert((seen, 0));
                *known = (known.0.max(seen), known.1 + leased);
            }
        }
        let workers = all.into_iter();
        Ok(workers
            .map(|(id, (seen, leased))| WorkerRecord::new(WorkerId::named(&id), seen, leased))
            .collect())
    }
}

/// Adds the counts that come next, in the order of `counts.lua`.
fn read_counts(reply: &mut Reply, sum: &mut Counts) -> Result<()> {
    for total in [
        &mut sum.enqueued,
        &mut sum.delivered,
        &mut sum.dead,
        &mut sum.cancelled,
        &mut sum.purged,
        &mut sum.blocked,
        &mut sum.ready,
        &mut sum.scheduled,
        &mut sum.leased,
        &mut sum.suspended,
    ] {
        *total += reply.number::<u64>()?;
    }
    Ok(())
}
