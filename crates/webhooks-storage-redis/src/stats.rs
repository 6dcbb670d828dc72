//! Numbers over time, those of an endpoint in its partition.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::try_join_all;
use webhooks_core::storage::spi::StatDelta;
use webhooks_core::storage::{StatBucket, StatNumbers, StatQuery, StatResolution};
use webhooks_core::{Result, Timestamp};

use crate::args::Args;
use crate::plain_storage::PlainStorage;
use crate::reply::number;
use crate::script::Script;

/// Deltas that one run of a script adds at most.
const MOST_ADDED: usize = 250;

/// The numbers of buckets, by their begin and their endpoint.
type Buckets = BTreeMap<(Timestamp, Option<Arc<str>>), StatNumbers>;

impl PlainStorage {
    /// Adds numbers in their partitions. One that fails may leave those of others added; the contract
    /// lets a call that is repeated count twice.
    pub(crate) async fn add_numbers(&self, deltas: &[StatDelta]) -> Result<()> {
        let mut by_partition: BTreeMap<usize, Vec<&StatDelta>> = BTreeMap::new();
        for delta in deltas {
            let partition = self.connection.keys.partition_of(&delta.endpoint_id);
            by_partition.entry(partition).or_default().push(delta);
        }
        let calls = by_partition.iter().flat_map(|(partition, deltas)| {
            let some = deltas.chunks(MOST_ADDED);
            some.map(|deltas| self.add_some(*partition, deltas))
        });
        try_join_all(calls).await?;
        Ok(())
    }

    /// Adds some deltas of a partition, in one script that takes some milliseconds.
    async fn add_some(&self, partition: usize, deltas: &[&StatDelta]) -> Result<()> {
        let mut args = Args::default();
        args.number(deltas.len());
        for delta in deltas {
            let begin = |of: StatResolution| of.begin(delta.at).as_millis();
            args.text(&delta.endpoint_id)
                .number(begin(StatResolution::Minute))
                .number(begin(StatResolution::Hour))
                .text(&numbers_text(&delta.numbers));
        }
        let script = Script::AddStats;
        self.connection.run(partition, script, "0", &args).await?;
        Ok(())
    }

    /// The buckets of all partitions together. Each endpoint is in one of them, so that a bucket of one
    /// endpoint is whole as it comes, and that of all is added up.
    pub(crate) async fn read_numbers(&self, query: &StatQuery) -> Result<Vec<StatBucket>> {
        let keys = &self.connection.keys;
        let of = query.endpoint_ids.as_ref();
        let parts = (0..keys.partitions()).map(|partition| {
            let is_here = |id: &&Arc<str>| keys.partition_of(id) == partition;
            // Each once: its numbers are added up.
            let here = |ids: &Vec<Arc<str>>| ids.iter().filter(is_here).cloned().collect();
            let ids: Option<BTreeSet<Arc<str>>> = of.map(here);
            let ids = ids.map(|ids| ids.into_iter().collect());
            self.read_part(partition, query, ids)
        });
        let mut buckets = Buckets::new();
        for (bucket, numbers) in try_join_all(parts).await?.into_iter().flatten() {
            buckets.entry(bucket).or_default().add(&numbers);
        }
        let buckets = buckets.into_iter();
        Ok(buckets
            .map(|((at, endpoint_id), numbers)| StatBucket::new(at, endpoint_id, numbers))
            .collect())
    }

    /// What a partition has of these endpoints, or of all.
    async fn read_part(
        &self,
        partition: usize,
        query: &StatQuery,
        ids: Option<Vec<Arc<str>>>,
    ) -> Result<Buckets> {
        let mut buckets = Buckets::new();
        if ids.as_ref().is_some_and(Vec::is_empty) {
            return Ok(buckets);
        }
        let mut from = query.from;
        loop {
            let mut args = Args::default();
            args.text(query.resolution.as_str())
                .number(from.as_millis())
                .number(query.to.as_millis())
                .flag(query.per_endpoint)
                .list(ids.as_deref());
            let script = Script::ReadStats;
            let mut reply = self.connection.run(partition, script, "0", &args).await?;
            let mut list = reply.list()?;
            while !list.is_over() {
                let (at, endpoint) = (list.timestamp()?, list.text()?);
                let endpoint = Some(endpoint).filter(|id| !id.is_empty()).map(Into::into);
                buckets.insert((at, endpoint), read_numbers(&list.text()?)?);
            }
            match reply.optional()? {
                Some(next) => from = Timestamp::from_millis(next),
                None => return Ok(buckets),
            }
        }
    }
}

/// Numbers with a space between two, without the zeros at the end.
fn numbers_text(numbers: &StatNumbers) -> String {
    let mut list = numbers.to_list();
    while list.last() == Some(&0) {
        list.pop();
    }
    let texts: Vec<_> = list.iter().map(u64::to_string).collect();
    texts.join(" ")
}

/// The numbers in a text that [`numbers_text`] wrote, perhaps in an earlier version with fewer of them.
fn read_numbers(text: &str) -> Result<StatNumbers> {
    let texts = text.split(' ').filter(|text| !text.is_empty());
    let list: Vec<u64> = texts.map(number).collect::<Result<_>>()?;
    Ok(StatNumbers::from_list(&list))
}
