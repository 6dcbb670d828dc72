//! Signs of life, in each partition, since each knows for itself who leases something there.

use futures_util::future::try_join_all;
use webhooks_core::storage::spi::{Beat, POISON_CRASHES, WORKER_DEAD_AFTER};
use webhooks_core::{Result, Timestamp, WorkerId, unique_number};

use crate::args::Args;
use crate::endpoints::REGISTRY;
use crate::plain_storage::PlainStorage;
use crate::script::Script;

/// Deliveries that one run of the script takes back at most.
const MOST_RESCUED: usize = 250;

/// How a beat of one partition goes.
#[derive(Clone, Copy, Debug)]
struct Pulse<'a> {
    worker: Option<&'a WorkerId>,
    /// Whether silence counts from the server's start too: not when a test passes the time.
    with_uptime: bool,
}

impl PlainStorage {
    /// Beats in all partitions, at the time of the first one.
    pub(crate) async fn beat_all(
        &self,
        worker: Option<&WorkerId>,
        at: Option<Timestamp>,
    ) -> Result<Beat> {
        let pulse = Pulse {
            worker,
            with_uptime: at.is_none(),
        };
        let mut beat = self.beat_in(REGISTRY, pulse, at).await?;
        let others = REGISTRY + 1..self.connection.keys.partitions();
        // Without a worker a beat only reads, and the first partition knows all there is to read.
        if worker.is_some() {
            let now = Some(beat.now);
            let beats = others.map(|partition| self.beat_in(partition, pulse, now));
            for other in try_join_all(beats).await? {
                beat.rescued += other.rescued;
                beat.lost |= other.lost;
            }
        }
        Ok(beat)
    }

    async fn beat_in(
        &self,
        partition: usize,
        pulse: Pulse<'_>,
        at: Option<Timestamp>,
    ) -> Result<Beat> {
        let (mut beat, mut more) = self.run_beat(partition, pulse, "beat", at).await?;
        while more {
            let now = Some(beat.now);
            let (again, still_more) = self.run_beat(partition, pulse, "on", now).await?;
            beat.rescued += again.rescued;
            more = still_more;
        }
        Ok(beat)
    }

    /// One run of the script. What it told, and whether there is more to take back.
    async fn run_beat(
        &self,
        partition: usize,
        pulse: Pulse<'_>,
        mode: &str,
        at: Option<Timestamp>,
    ) -> Result<(Beat, bool)> {
        let mut args = Args::default();
        args.text(pulse.worker.map_or("", WorkerId::as_str))
            .number(unique_number())
            .text(mode)
            .number(WORKER_DEAD_AFTER.as_millis())
            .number(MOST_RESCUED)
            .number(POISON_CRASHES)
            .flag(pulse.with_uptime);
        let now = at.map_or_else(String::new, |at| at.as_millis().to_string());
        let script = Script::Beat;
        let mut reply = self.connection.run(partition, script, &now, &args).await?;
        let mut beat = Beat {
            now: reply.timestamp()?,
            revision: reply.number()?,
            rescued: reply.number()?,
            lost: reply.flag()?,
            ..Beat::default()
        };
        let more = reply.flag()?;
        beat.before = reply.optional()?.map(Timestamp::from_millis);
        beat.outbox = reply.flag()?;
        if partition != REGISTRY {
            self.announce(partition, reply).await?;
        }
        Ok((beat, more))
    }
}
