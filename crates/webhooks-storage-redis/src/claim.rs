//! Leasing what is ready, one partition after the other. A claim whose answer was lost is made
//! again under the number that it had, and brings what it leased then.

use std::sync::atomic::Ordering;

use webhooks_core::storage::spi::{Claim, Claimed, HeldLease};
use webhooks_core::{DeliveryId, Result, WorkerId};

use crate::args::Args;
use crate::claim_tickets::TakenTicket;
use crate::kept_events::Events;
use crate::plain_storage::PlainStorage;
use crate::rows::Row;
use crate::script::Script;

/// Leases that one run of the script tells at most.
const MOST_LEASES: usize = 1_000;

impl PlainStorage {
    /// Claims from the partitions in turn, until the limit is met.
    pub(crate) async fn claim_ready(&self, claim: &Claim<'_>) -> Result<Claimed> {
        let mut claimed = Claimed::default();
        if claim.limit == 0 {
            return Ok(claimed);
        }
        let count = self.connection.keys.partitions();
        let first = self.claim_turn.load(Ordering::Relaxed) % count;
        // Answers count only once all are there: the caller may stop waiting at any await.
        let (mut tickets, mut suspects) = (Vec::new(), claim.poison_suspects);
        for n in 0..count {
            let partition = (first + n) % count;
            let left = claim.limit.saturating_sub(claimed.deliveries.len());
            if left == 0 {
                // The partitions that were not asked may have something.
                claimed.next_due = Some(claim.now);
                break;
            }
            let ticket = self.claim_tickets.take(claim.worker, partition);
            match self
                .claim_part(claim, partition, left, suspects, &ticket)
                .await
            {
                Ok(part) => {
                    tickets.push(ticket);
                    if !part.deliveries.is_empty() {
                        // The next claim starts behind the last partition that gave something.
                        self.claim_turn.store(partition + 1, Ordering::Relaxed);
                    }
                    let brought = part.deliveries.iter().filter(|d| d.is_poison_suspect());
                    suspects -= suspects.min(brought.count());
                    claimed.deliveries.extend(part.deliveries);
                    let dues = claimed.next_due.into_iter().chain(part.next_due);
                    claimed.next_due = dues.min();
                }
                Err(error) if claimed.deliveries.is_empty() => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, partition, "cannot claim from a partition");
                    claimed.next_due = Some(claim.now);
                    break;
                }
            }
        }
        tickets.into_iter().for_each(TakenTicket::answered);
        Ok(claimed)
    }

    pub(crate) async fn held_leases(
        &self,
        worker: &WorkerId,
        after: Option<DeliveryId>,
        limit: usize,
    ) -> Result<Vec<HeldLease>> {
        let mut args = Args::default();
        args.text(worker.as_str());
        match after {
            Some(after) => args.uuid(after.as_uuid()),
            None => args.text(""),
        };
        args.number(limit.clamp(1, MOST_LEASES));
        let mut held = Vec::new();
        for partition in 0..self.connection.keys.partitions() {
            let script = Script::Leased;
            let mut reply = self.connection.run(partition, script, "0", &args).await?;
            while !reply.is_over() {
                held.push(HeldLease {
                    delivery_id: DeliveryId::from_uuid(reply.uuid()?),
                    endpoint_id: reply.text()?.into(),
                    token: reply.number()?,
                });
            }
        }
        held.sort_unstable_by_key(|lease| lease.delivery_id);
        held.truncate(limit.min(MOST_LEASES));
        Ok(held)
    }

    async fn claim_part(
        &self,
        claim: &Claim<'_>,
        partition: usize,
        limit: usize,
        suspects: usize,
        ticket: &TakenTicket<'_>,
    ) -> Result<Claimed> {
        let mut args = Args::default();
        args.text(claim.worker.as_str())
            .text(&ticket.slot())
            .number(ticket.request())
            .number(limit)
            .number(claim.per_endpoint)
            .number(suspects);
        match claim.rate_limit {
            Some(rate) => args
                .number(rate.requests_per_second)
                .number(rate.burst_size),
            None => args.text("").text(""),
        };
        let keys = &self.connection.keys;
        let room = claim.room.iter();
        let room: Vec<_> = room
            .filter(|room| keys.partition_of(&room.endpoint_id) == partition)
            .collect();
        args.number(room.len());
        for room in room {
            args.text(&room.endpoint_id).number(room.deliveries);
        }
        let now = claim.now.as_millis().to_string();
        let script = Script::Claim;
        let mut reply = self.connection.run(partition, script, &now, &args).await?;
        let (mut list, events) = (reply.list()?, Events::read(reply.list()?)?);
        let mut deliveries = Vec::new();
        while !list.is_over() {
            let (id, row) = (list.uuid()?, list.text()?);
            let worker = Some(claim.worker.clone());
            deliveries.push(Row::read(&row)?.delivery(id, &events, worker)?);
        }
        let next_due = reply.score()?;
        Ok(Claimed {
            deliveries,
            next_due,
        })
    }
}
