use bytes::{BufMut, BytesMut};
use webhooks_core::storage::spi::{Enqueued, FanOut, FanOutPart, NewEvent, PartPlace};
use webhooks_core::{Result, Timestamp};

use crate::args::Args;
use crate::endpoints::REGISTRY;
use crate::kept_events::{KeptEvent, name_line, read_name, write_event};
use crate::keys::{fingerprint_text, read_fingerprint};
use crate::plain_storage::PlainStorage;
use crate::reply::broken;
use crate::script::Script;

impl PlainStorage {
    pub(crate) async fn store_part(
        &self,
        part: &FanOutPart,
        now: Timestamp,
    ) -> Result<Option<Enqueued>> {
        match part.place {
            // There is no outbox here.
            PartPlace::FirstOfOutbox => Ok(None),
            _ if self.connection.keys.partitions() == 1 => self.store_part_whole(part, now).await,
            PartPlace::First => self.begin_parts(part, now).await,
            PartPlace::Later => self.store_parts(part, now).await,
        }
    }

    /// The fan-out begins with nothing stored, so that whoever dies in between leaves one that
    /// others finish.
    async fn begin_parts(&self, part: &FanOutPart, now: Timestamp) -> Result<Option<Enqueued>> {
        let bare = NewEvent {
            deliveries: Vec::new(),
            ..part.event.clone()
        };
        if bare.idempotency_key.is_some() {
            let begun = self.store_keyed(&[bare], Some(part), None, now).await?;
            let is_other = |answer: &Enqueued| {
                matches!(answer, Enqueued::Duplicate { .. } | Enqueued::KeyReused)
            };
            if let Some(other) = begun.answers.into_iter().find(is_other) {
                return Ok(Some(other));
            }
        } else {
            self.fan_out_step("begin", part, now).await?;
        }
        self.store_parts(part, now).await
    }

    /// Stores the deliveries of a part in their partitions, and then moves the fan-out on.
    async fn store_parts(&self, part: &FanOutPart, now: Timestamp) -> Result<Option<Enqueued>> {
        if !self.fan_out_step("look", part, now).await? {
            return Ok(None);
        }
        let events = [&part.event];
        let stored = self.store(&events, None, now).await?.answers;
        self.keep_keys(&events, &stored, from(part), now).await?;
        self.fan_out_step("move", part, now).await?;
        Ok(stored.into_iter().next())
    }

    /// Whether the fan-out is there.
    pub(crate) async fn fan_out_step(
        &self,
        step: &str,
        part: &FanOutPart,
        now: Timestamp,
    ) -> Result<bool> {
        let mut args = Args::default();
        args.uuid(part.event.event.id.as_uuid()).text(step);
        write_part(&mut args, Some(part));
        args.written(|to| write_event(to, &part.event));
        let now = now.as_millis().to_string();
        let run = self
            .connection
            .run_bounded(REGISTRY, Script::FanOut, &now, &args);
        run.await?.flag()
    }

    pub(crate) async fn idle_fan_outs(
        &self,
        idle_since: Timestamp,
        limit: usize,
    ) -> Result<Vec<FanOut>> {
        let mut args = Args::default();
        args.number(limit);
        let since = idle_since.as_millis().to_string();
        let script = Script::IdleFanOuts;
        let mut reply = self.connection.run(REGISTRY, script, &since, &args).await?;
        let mut found = Vec::new();
        while !reply.is_over() {
            let (id, head, event) = (reply.uuid()?, reply.text()?, reply.bytes()?);
            let event = read_head(&head, KeptEvent::read(id, event)?)?;
            let up_to = reply.text()?.into();
            found.push(FanOut { event, up_to });
        }
        Ok(found)
    }
}

/// Where a part begins, whoever makes it.
fn from(part: &FanOutPart) -> Option<&str> {
    let first = part.event.deliveries.first()?;
    Some(&first.endpoint_id)
}

pub(crate) fn write_part(args: &mut Args, part: Option<&FanOutPart>) {
    let Some(part) = part else {
        args.text("");
        return;
    };
    args.text(match part.place {
        PartPlace::Later => "later",
        PartPlace::First | PartPlace::FirstOfOutbox => "first",
    })
    .text(from(part).unwrap_or_default())
    .text(part.up_to.as_deref().unwrap_or_default())
    .written(|to| write_head(to, &part.event));
}

/// What is needed to go on besides the event, a line each: whether it is kept, what its idempotency key
/// stands for, and the key.
fn write_head(to: &mut BytesMut, new: &NewEvent) {
    let key = new.idempotency_key.as_deref();
    let key = key.map(name_line).unwrap_or_default();
    let (keep, print) = (u8::from(new.keep), fingerprint_text(new));
    to.put_slice(format!("{keep}\n{print}\n{key}").as_bytes());
}

fn read_head(head: &str, kept: KeptEvent) -> Result<NewEvent> {
    let mut lines = head.splitn(3, '\n');
    let mut line = || lines.next().ok_or_else(broken);
    let (keep, print, key) = (line()?, line()?, line()?);
    Ok(NewEvent {
        event: kept.event,
        priority: kept.priority,
        due_at: kept.due_at,
        max_retries: kept.max_retries,
        idempotency_key: read_name(key)?,
        fingerprint: read_fingerprint(print),
        keep: keep == "1",
        deliveries: Vec::new(),
    })
}
