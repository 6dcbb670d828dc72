//! The SQLite storage of the better-auth-webhooks system: durable without a server.
//!
//! Everything is in one file. A thread of its own commits all calls that wait together, and answers
//! them when they are on the disk; others read. Processes of one machine may share the file.
//! `docs/storage-sqlite.md` names every table and setting.
//!
//! | what | where |
//! |---|---|
//! | the storage | [`SqliteStorage`], [`SqliteBuilder`] |
//! | sending inside a transaction of the caller | [`SqliteStorage::outbox`], [`Outbox`] |
//! | copies of the file | [`SqliteStorage::backup`] |
//!
//! The types of `rusqlite`, in any version that the crate's manifest allows, are part of the
//! interface.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod attempts;
mod backup;
mod builder;
mod candidates;
mod change;
mod claim;
mod clock;
mod columns;
mod commit;
mod connection;
mod counting;
mod counts;
mod counts_delta;
mod deliver_events;
mod document_store;
mod documents;
mod endpoint_row;
mod endpoints;
mod enqueue;
mod erasure;
mod error;
mod event_listing;
mod event_row;
mod fan_outs;
mod file;
mod gates;
mod idempotency;
mod job;
mod known_endpoint;
mod lane;
mod lane_queue;
mod listing;
mod making;
mod migrations;
mod numbering;
mod numbers;
mod order;
mod outbox;
mod pace;
mod places;
mod plain_storage;
mod readers;
mod recipients;
mod row;
mod send;
mod settle;
mod sqlite_storage;
mod state;
mod stats;
mod stranded;
mod surroundings;
mod sweep;
mod turn;
mod workers;
mod writer;

pub use self::builder::SqliteBuilder;
pub use self::send::{Outbox, OutboxSend};
pub use self::sqlite_storage::SqliteStorage;
pub use rusqlite;
pub use webhooks_core::{EncryptionKeys, Reencrypted};

/// Runs the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
