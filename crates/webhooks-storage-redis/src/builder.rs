use std::time::Duration;

use fred::clients::{Client, Pool};
use fred::error::Error;
use fred::interfaces::{ConfigInterface, LuaInterface};
use fred::types::Value;
use webhooks_core::{EncryptionKeys, Result, Sealed, WebhookError};

use crate::args::Args;
use crate::connection::{Connection, RedisClients};
use crate::durability::{DurabilityWarning, ServerInfo};
use crate::error::{is_refused, storage_error};
use crate::keys::Keys;
use crate::plain_storage::PlainStorage;
use crate::redis_storage::RedisStorage;
use crate::replicas::{self, Replicas};
use crate::reply::Reply;
use crate::script::Script;
use crate::wake::Wake;

/// The most partitions.
const MOST_PARTITIONS: usize = 1_024;

/// Settings of a [`RedisStorage`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it connects"]
pub struct RedisStorageBuilder {
    clients: RedisClients,
    prefix: String,
    partitions: usize,
    timeout: Duration,
    replicas: Option<Replicas>,
    keys: EncryptionKeys,
}

impl RedisStorage {
    /// A storage on this pool, with the default settings of [`builder`](Self::builder).
    ///
    /// # Errors
    ///
    /// As [`RedisStorageBuilder::connect`].
    pub async fn new(pool: Pool) -> Result<Self> {
        Self::builder(pool).connect().await
    }

    /// Settings of a storage on a `fred` pool or a single client.
    pub fn builder(clients: impl Into<RedisClients>) -> RedisStorageBuilder {
        RedisStorageBuilder {
            clients: clients.into(),
            prefix: "webhooks".into(),
            partitions: 1,
            timeout: Duration::from_secs(10),
            replicas: None,
            keys: EncryptionKeys::none(),
        }
    }
}

impl RedisStorageBuilder {
    /// Sets what the names of all keys start with; 1 to 64 characters of `A-Z a-z 0-9 _ - .`.
    /// Storages with different prefixes share nothing. Defaults to `webhooks`.
    pub fn key_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets in how many parts the keys are kept, 1 to 1,024. Each part is on one node of a Redis
    /// Cluster; 16 is a good number for one. It can never be changed for a prefix. Defaults to 1,
    /// which is best on a single server.
    pub const fn partitions(mut self, partitions: usize) -> Self {
        self.partitions = partitions;
        self
    }

    /// Sets how long a command may take on clients that have no `default_command_timeout` of their
    /// own, which `fred` leaves out by default. Defaults to 10 seconds.
    pub const fn command_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Waits, before an event or an outcome is acknowledged, until this many replicas of its node have
    /// it in memory (`WAIT`). With fewer within `timeout` the call fails as transient
    /// ([`is_transient`](WebhookError::is_transient)) and its outcome is unknown: it is stored, but may
    /// be lost with its node; the same call again waits anew. Ask for all replicas that may take over.
    /// Endpoints, documents, numbers over time and changes by hand are not waited for.
    ///
    /// The server holds up what comes behind on the same connection. So the first client of the pool is
    /// kept for what does not wait, and a pool of three to five fits. Defaults to 0, which waits for none;
    /// `timeout` is 1 ms or more, and shorter than [`command_timeout`](Self::command_timeout).
    pub const fn wait_for_replicas(mut self, replicas: u32, timeout: Duration) -> Self {
        self.replicas = match replicas {
            0 => None,
            count => Some(Replicas { count, timeout }),
        };
        self
    }

    /// Encrypts the secrets and the values of headers of endpoints: the first key encrypts, all
    /// decrypt. Defaults to none: then they are stored as they are, and a warning is logged.
    /// [`RedisStorage::reencrypt`] encrypts what is there already.
    pub fn encryption_keys(mut self, keys: EncryptionKeys) -> Self {
        self.keys = keys;
        self
    }

    /// Connects, and checks the server's version and settings, and the user's rights.
    ///
    /// Clients that are not connected yet are connected. A subscription with a connection of its
    /// own hears of new work.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](WebhookError::InvalidConfig) when a setting is out of its bounds, when the
    /// prefix was used with another number of partitions, when the user lacks a right that the storage
    /// needs, which the text names, or when the server is older than version 6.2; [`StorageError`](WebhookError::StorageError) when it cannot be reached, or the
    /// keys open none of the endpoints that were changed first.
    pub async fn connect(self) -> Result<RedisStorage> {
        self.validate()?;
        let client = self.clients.connect(self.timeout).await;
        let (client, revivals) = client.map_err(|error| storage_error(&error))?;
        let client = client.clone();
        let keys = Keys::new(&self.prefix, self.partitions);
        let channel = keys.channel();
        let connection = Connection::new(self.clients, keys, self.replicas, revivals);
        let warnings = check(&connection, &client).await?;
        if self.replicas.is_some() {
            let asked = replicas::ask(&client, &channel, 0, Duration::ZERO).await;
            asked.map_err(|error| refused(&error, "+wait", ""))?;
        }
        let asked = Wake::ask(&client, &channel).await;
        asked.map_err(|error| refused(&error, "+subscribe", &format!("&{channel}")))?;
        let wake = Wake::subscribe(&client, &channel).await;
        let wake = wake.map_err(|error| storage_error(&error))?;
        for warning in &warnings {
            tracing::warn!(%warning, "Redis can lose what it acknowledged");
        }
        if self.keys.is_empty() {
            tracing::warn!(
                prefix = self.prefix,
                "secrets of endpoints are stored as they are: no encryption key is given"
            );
        }
        let plain = PlainStorage::connected(connection, wake, warnings);
        let sealed = Sealed::new(plain, self.keys);
        sealed.check_keys().await?;
        Ok(RedisStorage { sealed })
    }

    fn validate(&self) -> Result<()> {
        let refuse = |text: String| Err(WebhookError::InvalidConfig(text.into()));
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if !(1..=64).contains(&self.prefix.len()) || !self.prefix.chars().all(is_plain) {
            return refuse(format!(
                "the key prefix has {} bytes, it needs 1 to 64 of A-Z a-z 0-9 _ - .",
                self.prefix.len()
            ));
        }
        if !(1..=MOST_PARTITIONS).contains(&self.partitions) {
            return refuse(format!(
                "there are {} partitions, it needs 1 to {MOST_PARTITIONS}",
                self.partitions
            ));
        }
        let may_wait = Duration::from_millis(1)..self.timeout;
        if let Some(replicas) = self.replicas.filter(|r| !may_wait.contains(&r.timeout)) {
            return refuse(format!(
                "replicas are waited for {:?}, it needs 1 ms or more and less than the {:?} of a command",
                replicas.timeout, self.timeout
            ));
        }
        Ok(())
    }
}

/// Looks at every node that keeps a partition.
async fn check(connection: &Connection, client: &Client) -> Result<Vec<DurabilityWarning>> {
    let appendfsync = appendfsync(client).await;
    let partitions = connection.keys.partitions();
    let pattern = format!("~{{{}:*", connection.keys.prefix());
    let mut warnings = Vec::new();
    for partition in 0..partitions {
        let mut args = Args::default();
        args.number(partitions);
        let answer = connection.try_run(partition, Script::Start, "0", &args);
        let answer = answer
            .await
            .map_err(|error| refused(&error, "+eval", &pattern))?;
        let mut reply = Reply::new(answer)?;
        let missing = reply.text()?;
        if !missing.is_empty() {
            return Err(lacks(&missing));
        }
        let kept: usize = reply.number()?;
        if kept != partitions {
            return Err(WebhookError::InvalidConfig(
                format!(
                    "the keys of prefix {:?} are kept in {kept} partitions, not {partitions}",
                    connection.keys.prefix()
                )
                .into(),
            ));
        }
        let info = ServerInfo::new(reply.text()?);
        info.check_version()?;
        for warning in info.warnings(appendfsync.as_deref()) {
            if !warnings.contains(&warning) {
                warnings.push(warning);
            }
        }
    }
    // What is called by these names later: their errors would come one by one.
    let unknown = client.evalsha::<Value, _, _, _>("0".repeat(40), Vec::<String>::new(), ());
    if let Err(error) = unknown.await.map(drop)
        && is_refused(&error)
    {
        return Err(lacks("+evalsha"));
    }
    let loaded = client.script_load::<Value, _>("return 0").await;
    loaded.map_err(|error| refused(&error, "+script|load", ""))?;
    Ok(warnings)
}

/// The error of a command, which the first rule would allow, or the second for what it is to touch.
fn refused(error: &Error, command: &str, access: &str) -> WebhookError {
    if !is_refused(error) {
        return storage_error(error);
    }
    // Only what is said of keys and channels does not say "run".
    let is_command = error.details().contains(" run ");
    lacks(if is_command { command } else { access })
}

fn lacks(rules: &str) -> WebhookError {
    WebhookError::InvalidConfig(
        format!(
            "the user of Redis lacks rights: {rules} (the least access list is in storage-redis.md)"
        )
        .into(),
    )
}

/// How often the append-only file is synced, unless the server does not tell: hosted ones often
/// refuse `CONFIG`.
async fn appendfsync(client: &Client) -> Option<String> {
    let answer: Value = client.config_get("appendfsync").await.ok()?;
    match answer {
        Value::Map(map) => {
            let mut pairs = map.inner().into_iter();
            pairs.next().and_then(|(_, value)| value.into_string())
        }
        Value::Array(pair) => pair.into_iter().nth(1)?.into_string(),
        _ => None,
    }
}
