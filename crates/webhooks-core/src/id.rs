//! Identifiers of events, deliveries and workers.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use uuid::Uuid;
use uuid::fmt::Hyphenated;

use crate::random::unique_bytes;
use crate::{Timestamp, WebhookError};

/// A version 7 UUID (RFC 9562) for `now`, so that ids sort by their time of creation.
// Random bits from the system for each id: two nodes, or a process and its copy, would else make
// the same one, and the second event would be taken for a duplicate.
fn uuid_v7(now: Timestamp) -> Uuid {
    let random = unique_bytes();
    // A time before 1970 has no form in an id; it sorts first.
    let millis = u64::try_from(now.as_millis()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// The smallest id there can be, which no event and no delivery has.
            pub const MIN: Self = Self(Uuid::nil());

            /// A new id that sorts by `now`.
            #[must_use]
            pub fn new(now: Timestamp) -> Self {
                Self(uuid_v7(now))
            }

            /// The id with these bits, as a storage keeps them.
            ///
            /// Any UUID is taken: what a storage kept is not judged again.
            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The bits of the id, for a storage to keep.
            #[must_use]
            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        // The order of the bytes, compared as one number: indexes of storages compare ids most of
        // their time, and byte by byte that takes several times as long.
        impl Ord for $name {
            fn cmp(&self, other: &Self) -> Ordering {
                self.0.as_u128().cmp(&other.0.as_u128())
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                // In one piece, so that a string of it is allocated once.
                let mut text = [0; $prefix.len() + Hyphenated::LENGTH];
                let (prefix, uuid) = text.split_at_mut($prefix.len());
                prefix.copy_from_slice($prefix.as_bytes());
                self.0.as_hyphenated().encode_lower(uuid);
                f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = WebhookError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.strip_prefix($prefix)
                    .and_then(|uuid| Uuid::try_parse(uuid).ok())
                    .map(Self)
                    .ok_or_else(|| {
                        WebhookError::InvalidId(
                            concat!("an id of this kind is ", $prefix, "<uuid>").into(),
                        )
                    })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = String::deserialize(from)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

uuid_id! {
    /// Identifies an event, and is the consumer's idempotency key: `webhook_<uuid v7>`.
    EventId, "webhook_"
}

uuid_id! {
    /// Identifies one event's delivery to one endpoint: `delivery_<uuid v7>`.
    DeliveryId, "delivery_"
}

impl DeliveryId {
    /// The id that one event's delivery to one endpoint has whoever makes it: where deliveries are
    /// made in several steps, a step that is made again makes none twice. It sorts by the event's
    /// time, and has the form of every other.
    #[must_use]
    // A hash and not a random part: whoever makes the part of a fan-out again must arrive at the
    // same id.
    pub fn of(event: EventId, endpoint_id: &str) -> Self {
        let hash = Sha256::new()
            .chain_update(event.0)
            .chain_update(endpoint_id)
            // The event's own bytes give the time; everything behind it is hashed, so that two
            // endpoints of one event get two ids.
            .finalize();
        let mut bytes = event.0.into_bytes();
        // The first six are the milliseconds.
        for (byte, hashed) in bytes.iter_mut().skip(6).zip(hash) {
            *byte = hashed;
        }
        let uuid = uuid::Builder::from_bytes(bytes)
            .with_variant(uuid::Variant::RFC4122)
            .with_version(uuid::Version::SortRand);
        Self(uuid.into_uuid())
    }
}

/// Identifies one running process (one scheduler) that leases deliveries.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WorkerId(Arc<str>);

impl WorkerId {
    /// A new id that no other process has: `worker_` and a random UUID.
    ///
    /// New with each start of a process, and after a copy of it was found: with a name that is used
    /// again, two processes would settle each other's deliveries.
    #[must_use]
    pub fn unique() -> Self {
        let uuid = uuid::Builder::from_random_bytes(unique_bytes()).into_uuid();
        Self(format!("worker_{}", uuid.as_hyphenated()).into())
    }

    /// The worker with this name, as a storage or a test keeps it.
    ///
    /// Any text; storages have to keep it whatever it holds.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self(name.into())
    }

    /// The name of the worker.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_round_trip_and_sort_by_time() {
        let early = EventId::new(Timestamp::from_secs(1_000));
        let late = EventId::new(Timestamp::from_secs(2_000));
        assert!(early < late);
        assert_eq!(early.to_string().parse::<EventId>().unwrap(), early);
        assert_eq!(early.as_uuid().get_version_num(), 7);
        assert!(early.to_string().starts_with("webhook_"));
    }

    #[test]
    fn the_delivery_of_an_event_to_an_endpoint_is_always_the_same() {
        let event = EventId::new(Timestamp::from_secs(1_000));
        let id = DeliveryId::of(event, "a");
        assert_eq!(id, DeliveryId::of(event, "a"));
        assert_ne!(id, DeliveryId::of(event, "b"));
        let other = EventId::new(Timestamp::from_secs(1_000));
        assert_ne!(id, DeliveryId::of(other, "a"));
        assert_eq!(id.as_uuid().get_version_num(), 7);
        assert!(id < DeliveryId::new(Timestamp::from_secs(1_001)));
        assert!(id > DeliveryId::new(Timestamp::from_secs(999)));
    }

    #[test]
    fn a_copy_of_a_process_makes_other_ids() {
        // A copied machine goes on with the same state of every generator in its memory.
        let ids = || {
            fastrand::seed(7);
            let now = Timestamp::from_secs(1_000);
            let numbers = crate::unique_number();
            (
                EventId::new(now),
                DeliveryId::new(now),
                WorkerId::unique(),
                numbers,
            )
        };
        let (first, copy) = (ids(), ids());
        assert_ne!(first.0, copy.0);
        assert_ne!(first.1, copy.1);
        assert_ne!(first.2, copy.2);
        assert_ne!(first.3, copy.3);
    }

    #[test]
    fn an_id_of_another_kind_is_refused() {
        let id = DeliveryId::new(Timestamp::EPOCH).to_string();
        assert!(id.parse::<EventId>().is_err());
        assert!("webhook_".parse::<EventId>().is_err());
    }
}
