//! Idempotency keys: what the first event of a key became, for 24 hours.

use std::collections::HashSet;

use sha2::{Digest, Sha256};
use uuid::Uuid;
use webhooks_core::storage::spi::{Enqueued, Fingerprint, IDEMPOTENCY_WINDOW, NewEvent};
use webhooks_core::{DeliveryId, EventId, Timestamp};

use crate::columns::{time_at, uuid_at};
use crate::error::Result;
use crate::state::State;

const FIND: &str = "SELECT event_id, fingerprint, delivery_ids, expires_at \
    FROM webhook_idempotency WHERE key = ?1";
const KEEP: &str = "INSERT OR REPLACE INTO webhook_idempotency \
    (key, event_id, fingerprint, delivery_ids, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)";
const ADD: &str = "UPDATE webhook_idempotency SET delivery_ids = ?2 WHERE key = ?1";
const EXPIRE: &str = "DELETE FROM webhook_idempotency WHERE key IN \
    (SELECT key FROM webhook_idempotency WHERE expires_at <= ?1 LIMIT 1000)";

/// What the first event of a key became.
struct FirstSend {
    event_id: EventId,
    /// What the key stands for, if the first event told.
    fingerprint: Option<Vec<u8>>,
    delivery_ids: Vec<DeliveryId>,
}

/// A key and whose it is, in 32 bytes. Each tenant has keys of its own, and so have events without
/// one: nobody silences another's events by guessing keys.
fn key_of(new: &NewEvent) -> Option<[u8; 32]> {
    let key = new.idempotency_key.as_deref()?;
    let mut hash = Sha256::new();
    // Neither text holds a control character, so that no two pairs run into each other.
    match new.event.tenant.as_deref() {
        Some(tenant) => {
            hash.update("t");
            hash.update(tenant);
        }
        None => hash.update("n"),
    }
    hash.update("\n");
    hash.update(key);
    Some(hash.finalize().into())
}

impl State {
    /// The answer that was given for this key before, to another event.
    pub(crate) fn first_send(&self, new: &NewEvent, now: Timestamp) -> Result<Option<Enqueued>> {
        let Some(key) = key_of(new) else {
            return Ok(None);
        };
        // The same event is the same call sent twice, not a second event.
        let first = self.known_key(&key, now)?;
        let Some(first) = first.filter(|first| first.event_id != new.event.id) else {
            return Ok(None);
        };
        // A key that was used for other data is a sender's mistake, and must not look like success.
        let differs = match (&first.fingerprint, &new.fingerprint) {
            (Some(first), Some(Fingerprint(new))) => first.as_slice() != new,
            _ => false,
        };
        Ok(Some(match differs {
            true => Enqueued::KeyReused,
            false => Enqueued::Duplicate {
                event_id: first.event_id,
                delivery_ids: first.delivery_ids,
            },
        }))
    }

    /// The first use of a key, if its window is not over.
    fn known_key(&self, key: &[u8; 32], now: Timestamp) -> Result<Option<FirstSend>> {
        let found = self.find(FIND, [key.as_slice()], |row| {
            let ids = row.get_ref(2)?.as_blob()?.chunks_exact(16);
            let ids = ids.filter_map(|id| Uuid::from_slice(id).ok());
            let first = FirstSend {
                event_id: EventId::from_uuid(uuid_at(row, 0)?),
                fingerprint: row.get(1)?,
                delivery_ids: ids.map(DeliveryId::from_uuid).collect(),
            };
            Ok((first, time_at(row, 3)?))
        })?;
        Ok(found
            .filter(|(_, expires_at)| *expires_at > now)
            .map(|(first, _)| first))
    }

    /// Keeps what an event made; of the same event, what it made besides: an event comes more than
    /// once when its call is sent again, and when a fan-out stores its parts.
    pub(crate) fn keep_key(
        &mut self,
        new: &NewEvent,
        made: &[DeliveryId],
        now: Timestamp,
    ) -> Result<()> {
        let Some(key) = key_of(new) else {
            return Ok(());
        };
        let known = self.known_key(&key, now)?;
        if let Some(known) = known.filter(|known| known.event_id == new.event.id) {
            let there: HashSet<_> = known.delivery_ids.iter().copied().collect();
            let mut all = known.delivery_ids;
            all.extend(made.iter().copied().filter(|id| !there.contains(id)));
            return self
                .execute(ADD, (key.as_slice(), bytes_of(&all)))
                .map(drop);
        }
        let params = (
            key.as_slice(),
            new.event.id.as_uuid().into_bytes(),
            new.fingerprint.map(|Fingerprint(bytes)| bytes),
            bytes_of(made),
            now.after(IDEMPOTENCY_WINDOW).as_millis(),
        );
        self.execute(KEEP, params).map(drop)
    }

    /// Forgets some of the keys whose time is over.
    pub(crate) fn expire_keys(&mut self, now: Timestamp) -> Result<()> {
        self.execute(EXPIRE, [now.as_millis()]).map(drop)
    }
}

fn bytes_of(ids: &[DeliveryId]) -> Vec<u8> {
    ids.iter()
        .flat_map(|id| id.as_uuid().into_bytes())
        .collect()
}
