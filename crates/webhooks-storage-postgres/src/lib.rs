//! The PostgreSQL storage of the better-auth-webhooks system.
//!
//! Any number of processes share one database with no other coordination. Every call is one
//! statement, or a few in one round trip, and commits whole or not at all; what was acknowledged is
//! on the server's disk. `docs/storage-postgres.md` names every table, index and setting.
//!
//! | what | where |
//! |---|---|
//! | the storage | [`PostgresStorage`], [`PostgresBuilder`] |
//! | sending inside a transaction of the caller | [`PostgresStorage::outbox`], [`Outbox`] |

#![cfg_attr(docsrs, feature(doc_cfg))]

mod beat;
mod builder;
mod change;
mod claim;
mod claim_memory;
mod columns;
mod counts;
mod database;
mod definition_change;
mod deliver_events;
mod documents;
mod drop_events;
mod endpoints;
mod enqueue;
mod erasure;
mod error;
mod event_filter;
mod events;
mod fan_out;
mod filter;
mod gates;
mod groups;
mod known_queues;
mod leases;
mod listing;
mod migrations;
mod ordered_endpoints;
mod outbox;
mod plain_storage;
mod postgres_storage;
mod preflight;
mod raw_json;
mod refusal;
mod repeat;
mod rescue_rest;
mod row;
mod settings;
mod settle;
mod stats;
mod sweep;
mod wake;
mod workers;

pub use self::builder::PostgresBuilder;
pub use self::outbox::{Outbox, OutboxSend};
pub use self::postgres_storage::PostgresStorage;
pub use webhooks_core::{EncryptionKeys, Reencrypted};

/// Runs the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
