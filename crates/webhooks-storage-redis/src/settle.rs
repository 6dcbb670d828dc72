//! Storing what came of requests, one script per partition. Each settlement has a number, by which
//! one that is sent again gets the answer that the first one got.

use std::collections::BTreeMap;

use futures_util::future::try_join_all;
use webhooks_core::storage::spi::{SettleAs, Settled, Settlement};
use webhooks_core::{Result, Timestamp, WorkerId};

use crate::args::Args;
use crate::attempt_lines::write_attempt;
use crate::plain_storage::PlainStorage;
use crate::reply::malformed;
use crate::script::Script;
use crate::settle_requests::SettleNumbers;

impl PlainStorage {
    pub(crate) async fn store_outcomes(
        &self,
        worker: &WorkerId,
        settlements: &[Settlement],
        now: Timestamp,
    ) -> Result<Vec<Settled>> {
        let mut by_partition: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (place, settlement) in settlements.iter().enumerate() {
            let partition = self.connection.keys.partition_of(&settlement.endpoint_id);
            by_partition.entry(partition).or_default().push(place);
        }
        let numbers = self.settle_requests.number(settlements);
        let now = now.as_millis().to_string();
        let calls = by_partition.into_iter().map(|(partition, places)| {
            self.settle_part(partition, places, worker, settlements, &numbers, &now)
        });
        let mut all: Vec<_> = try_join_all(calls).await?.into_iter().flatten().collect();
        numbers.answered();
        all.sort_unstable_by_key(|(place, _)| *place);
        Ok(all.into_iter().map(|(_, settled)| settled).collect())
    }

    async fn settle_part(
        &self,
        partition: usize,
        places: Vec<usize>,
        worker: &WorkerId,
        settlements: &[Settlement],
        numbers: &SettleNumbers<'_>,
        now: &str,
    ) -> Result<Vec<(usize, Settled)>> {
        let mut args = Args::default();
        args.text(worker.as_str()).number(places.len());
        for place in &places {
            if let Some(settlement) = settlements.get(*place) {
                write(&mut args, settlement, numbers.get(*place));
            }
        }
        let script = Script::Settle;
        let mut reply = self.connection.run(partition, script, now, &args).await?;
        let mut settled = Vec::with_capacity(places.len());
        for place in places {
            let answer = match reply.number::<u8>()? {
                0 => Settled::Applied,
                1 => Settled::Cancelled,
                2 => Settled::Stale,
                _ => return Err(malformed("names an unknown outcome")),
            };
            settled.push((place, answer));
        }
        Ok(settled)
    }
}

fn write(args: &mut Args, settlement: &Settlement, number: &str) {
    args.uuid(settlement.delivery_id.as_uuid())
        .number(settlement.token)
        .text(number);
    match settlement.settle_as {
        SettleAs::Delivered => args.text("delivered").text(""),
        SettleAs::Retry { at } => args.text("retry").number(at.as_millis()),
        SettleAs::Release { at } => args.text("release").number(at.as_millis()),
        SettleAs::Dead { reason } => args.text("dead").text(reason.as_str()),
        SettleAs::Cancelled { reason } => args.text("cancelled").text(reason.as_str()),
    };
    match &settlement.attempt {
        Some(attempt) => args
            .written(|to| write_attempt(to, attempt))
            .number(attempt.started_at.as_millis()),
        None => args.text("").text(""),
    };
}
