//! The Redis storage of the better-auth-webhooks system.
//!
//! Any number of processes on one Redis, or one Redis Cluster, share the work with no other
//! coordination. Every change of several keys is one Lua script whose keys share a hash tag, safe
//! to run twice, since a client may send a command again after it reconnected. What survives a
//! crash of the server depends on its settings; [`RedisStorage::durability_warnings`] says what is
//! missing, and `docs/storage-redis.md` what each setting can lose, and what every key is for.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod args;
mod attempt_lines;
mod beat;
mod builder;
mod change;
mod claim;
mod claim_tickets;
mod connection;
mod counts;
mod definitions;
mod deliver_events;
mod documents;
mod durability;
mod endpoints;
mod enqueue;
mod error;
mod events;
mod fan_out;
mod filter;
mod gates;
mod idempotency;
mod kept_events;
mod keys;
mod plain_storage;
mod query;
mod redis_storage;
mod replicas;
mod reply;
mod revival;
mod rows;
mod script;
mod settle;
mod settle_requests;
mod stats;
mod sweep;
mod wake;

pub use self::builder::RedisStorageBuilder;
pub use self::connection::RedisClients;
pub use self::durability::DurabilityWarning;
pub use self::redis_storage::RedisStorage;
pub use webhooks_core::{EncryptionKeys, Reencrypted};

/// Runs the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
