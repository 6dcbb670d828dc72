//! Idempotency keys of events whose deliveries may live in several partitions.
//!
//! A key lives in the partition of its name. It is claimed for an event first, then the event is
//! stored, then the key learns which deliveries were made. A process may die in between: then the
//! claim stays without its deliveries, and a later event with the same key waits a moment for them
//! and takes the claim over. So an event is never given up for one that was not stored; that both
//! are sent is possible only after such a death or an equally long stall.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use uuid::Uuid;
use webhooks_core::storage::spi::{Commit, Enqueued, FanOutPart, IDEMPOTENCY_WINDOW, NewEvent};
use webhooks_core::{Result, Timestamp, WorkerId};

use crate::args::Args;
use crate::enqueue::duplicate;
use crate::keys::{fingerprint_text, idempotency_name};
use crate::plain_storage::PlainStorage;
use crate::reply::ids;
use crate::script::Script;

/// How long, and how often, a claim of another event is waited for: two seconds in all.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSES: u32 = 40;

/// What came of the attempt to claim a key.
#[derive(Debug)]
enum KeyClaim {
    Claimed,
    Known(Uuid, Vec<Uuid>),
    /// This event claimed it and is not stored yet.
    Pending(Uuid),
    /// It stands for something else.
    Reused,
}

/// An event that has no answer yet.
#[derive(Clone, Copy)]
struct Open<'a> {
    place: usize,
    event: &'a NewEvent,
    /// Whose claim it waits for.
    behind: Option<Uuid>,
}

impl PlainStorage {
    /// Stores events with keys; and begins the fan-out of `part`, whose event is the only one,
    /// before its key is kept.
    pub(crate) async fn store_keyed(
        &self,
        events: &[NewEvent],
        part: Option<&FanOutPart>,
        worker: Option<&WorkerId>,
        now: Timestamp,
    ) -> Result<Commit<Enqueued>> {
        let mut definitions = 0;
        let mut answers: Vec<Option<Enqueued>> = events.iter().map(|_| None).collect();
        let enumerated = events.iter().enumerate();
        let mut open: Vec<_> = enumerated
            .map(|(place, event)| Open {
                place,
                event,
                behind: None,
            })
            .collect();
        let mut pauses = 0;
        while !open.is_empty() {
            let (claimed, waiting) = self
                .claim_keys(&open, pauses >= PAUSES, &mut answers, now)
                .await?;
            if let Some(part) = part.filter(|_| !claimed.is_empty()) {
                self.fan_out_step("begin", part, now).await?;
            }
            let stored: Vec<_> = claimed.iter().map(|open| open.event).collect();
            // Also where none is left to be stored, it tells what changed last.
            let commit = self.store(&stored, worker, now).await?;
            let outcomes = &commit.answers;
            definitions = commit.definitions;
            self.keep_keys(&stored, outcomes, None, now).await?;
            for (open, outcome) in claimed.iter().zip(commit.answers) {
                if let Some(answer) = answers.get_mut(open.place) {
                    *answer = Some(outcome);
                }
            }
            let own: HashSet<Uuid> = stored.iter().map(|e| e.event.id.as_uuid()).collect();
            let behind_others = |open: &Open<'_>| open.behind.is_some_and(|id| !own.contains(&id));
            if waiting.iter().any(behind_others) {
                pauses += 1;
                tokio::time::sleep(PAUSE).await;
            }
            open = waiting;
        }
        Ok(Commit {
            answers: answers.into_iter().flatten().collect(),
            definitions,
        })
    }

    /// Claims the keys of events: those that may be stored now, and those that have to wait.
    async fn claim_keys<'a>(
        &self,
        open: &[Open<'a>],
        force: bool,
        answers: &mut [Option<Enqueued>],
        now: Timestamp,
    ) -> Result<(Vec<Open<'a>>, Vec<Open<'a>>)> {
        let mut by_partition: HashMap<usize, Vec<(Open<'a>, String)>> = HashMap::new();
        let (mut claimed, mut waiting) = (Vec::new(), Vec::new());
        for open in open {
            match idempotency_name(open.event) {
                None => claimed.push(*open),
                Some(name) => {
                    let partition = self.connection.keys.partition_of(&name);
                    by_partition
                        .entry(partition)
                        .or_default()
                        .push((*open, name));
                }
            }
        }
        for (partition, keyed) in by_partition {
            let args = write_claims(&keyed, force);
            let now = now.as_millis().to_string();
            let script = Script::ClaimKeys;
            let mut reply = self
                .connection
                .run_bounded(partition, script, &now, &args)
                .await?;
            for (open, _) in keyed {
                let known = match read_claim(&mut reply.list()?)? {
                    KeyClaim::Claimed => {
                        claimed.push(open);
                        continue;
                    }
                    KeyClaim::Pending(event) => {
                        let behind = Some(event);
                        waiting.push(Open { behind, ..open });
                        continue;
                    }
                    KeyClaim::Known(event, deliveries) => duplicate(event, deliveries),
                    KeyClaim::Reused => Enqueued::KeyReused,
                };
                if let Some(answer) = answers.get_mut(open.place) {
                    *answer = Some(known);
                }
            }
        }
        // In the order of the call, which is that of their deliveries in an order.
        claimed.sort_unstable_by_key(|open| open.place);
        Ok((claimed, waiting))
    }

    /// Keeps which deliveries the events of claimed keys made; or what a part made besides, which
    /// begins `from` this endpoint.
    pub(crate) async fn keep_keys(
        &self,
        events: &[&NewEvent],
        outcomes: &[Enqueued],
        from: Option<&str>,
        now: Timestamp,
    ) -> Result<()> {
        let mut by_partition: HashMap<usize, (usize, Args)> = HashMap::new();
        for (event, outcome) in events.iter().zip(outcomes) {
            let Some(name) = idempotency_name(event) else {
                continue;
            };
            let partition = self.connection.keys.partition_of(&name);
            let (count, args) = by_partition.entry(partition).or_default();
            *count += 1;
            args.text(&name)
                .uuid(event.event.id.as_uuid())
                .text(from.unwrap_or_default())
                .text(&made(event, outcome));
        }
        let now = now.as_millis().to_string();
        for (partition, (count, keys)) in by_partition {
            let mut args = Args::default();
            args.number(count);
            args.append(keys);
            let script = Script::KeepKeys;
            self.connection.run(partition, script, &now, &args).await?;
        }
        Ok(())
    }
}

/// Names and events, as `claim_keys.lua` takes them; with `force`, and whose claim is to be taken over.
fn write_claims(keyed: &[(Open<'_>, String)], force: bool) -> Args {
    let mut args = Args::default();
    args.number(IDEMPOTENCY_WINDOW.as_millis())
        .number(keyed.len());
    for (open, name) in keyed {
        args.text(name)
            .uuid(open.event.event.id.as_uuid())
            .text(&fingerprint_text(open.event));
        match open.behind.filter(|_| force) {
            Some(behind) => args.uuid(behind),
            None => args.text(""),
        };
    }
    args
}

fn read_claim(claim: &mut crate::reply::Reply) -> Result<KeyClaim> {
    Ok(match claim.number::<u8>()? {
        0 => KeyClaim::Claimed,
        1 => KeyClaim::Known(claim.uuid()?, ids(&claim.text()?)?),
        2 => KeyClaim::Pending(claim.uuid()?),
        _ => KeyClaim::Reused,
    })
}

/// The ids of the deliveries that were made, with spaces between them.
fn made(event: &NewEvent, outcome: &Enqueued) -> String {
    let Enqueued::Stored { missing, .. } = outcome else {
        return String::new();
    };
    let made = event.deliveries.iter().filter(|d| !missing.contains(&d.id));
    let made: Vec<String> = made.map(|d| d.id.as_uuid().to_string()).collect();
    made.join(" ")
}
