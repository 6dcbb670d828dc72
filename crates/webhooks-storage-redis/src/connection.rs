use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fred::clients::{Client, Pool};
use fred::error::{Error, ErrorKind};
use fred::interfaces::{ClientLike, LuaInterface};
use fred::types::{ClientState, MultipleKeys, Value};
use webhooks_core::{Result, WebhookError};

use crate::args::Args;
use crate::error::{is_full, is_unknown_script, storage_error};
use crate::keys::Keys;
use crate::replicas::{Link, Replicas};
use crate::reply::Reply;
use crate::revival::Revival;
use crate::script::{Script, Scripts};

/// The clients that a [`RedisStorage`](crate::RedisStorage) uses: those of a `fred` pool, or one.
#[derive(Clone)]
pub struct RedisClients(Arc<[Client]>);

impl From<Pool> for RedisClients {
    fn from(pool: Pool) -> Self {
        Self(pool.clients().into())
    }
}

impl From<Client> for RedisClients {
    fn from(client: Client) -> Self {
        Self([client].into())
    }
}

impl std::fmt::Debug for RedisClients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The clients' settings hold a password.
        write!(f, "RedisClients({})", self.0.len())
    }
}

impl RedisClients {
    /// Connects those that are not connected yet, and waits for the others. Those without a time
    /// limit for commands get this one: without it a command waits as long as the server is away,
    /// and a limit around the call would leave it in the client's buffer, to be run later. The
    /// first client, and what keeps alive those that were connected here.
    pub(crate) async fn connect(
        &self,
        timeout: Duration,
    ) -> std::result::Result<(&Client, Vec<Revival>), Error> {
        let mut revivals = Vec::new();
        for client in self.0.iter() {
            let mut settings = client.perf_config();
            if settings.default_command_timeout.is_zero() {
                settings.default_command_timeout = timeout;
                client.update_perf_config(settings);
            }
            if client.state() == ClientState::Disconnected {
                let task = client.init().await?;
                revivals.push(Revival::of(client.clone(), task));
            } else {
                client.wait_for_connect().await?;
            }
        }
        let none = || Error::new(ErrorKind::Config, "the pool has no client");
        let first = self.0.first().ok_or_else(none)?;
        Ok((first, revivals))
    }
}

/// Runs scripts on the partitions.
#[derive(Debug)]
pub(crate) struct Connection {
    clients: RedisClients,
    next: AtomicUsize,
    scripts: Scripts,
    channel: String,
    replicas: Option<Replicas>,
    pub(crate) keys: Keys,
    _revivals: Vec<Revival>,
}

impl Connection {
    pub(crate) fn new(
        clients: RedisClients,
        keys: Keys,
        replicas: Option<Replicas>,
        revivals: Vec<Revival>,
    ) -> Self {
        Self {
            clients,
            next: AtomicUsize::new(0),
            scripts: Scripts::new(),
            channel: keys.channel(),
            replicas,
            keys,
            _revivals: revivals,
        }
    }

    /// Runs a script on a partition. `now` may be empty where the script asks for the time itself.
    pub(crate) async fn run(
        &self,
        partition: usize,
        script: Script,
        now: &str,
        args: &Args,
    ) -> Result<Reply> {
        let answer = self.try_run(partition, script, now, args).await;
        Reply::new(answer.map_err(|error| storage_error(&error))?)
    }

    /// Like [`run`](Self::run), where a server without memory means an overload.
    pub(crate) async fn run_bounded(
        &self,
        partition: usize,
        script: Script,
        now: &str,
        args: &Args,
    ) -> Result<Reply> {
        let answer = self.try_run(partition, script, now, args).await;
        Reply::new(answer.map_err(|error| {
            if is_full(&error) {
                WebhookError::Overloaded("Redis has no memory left, see maxmemory".into())
            } else {
                storage_error(&error)
            }
        })?)
    }

    pub(crate) async fn try_run(
        &self,
        partition: usize,
        script: Script,
        now: &str,
        args: &Args,
    ) -> std::result::Result<Value, Error> {
        let Some(replicas) = self.replicas.filter(|_| script.acknowledges()) else {
            let keys = self.keys.of_script(partition, false);
            return self
                .call(self.client(false)?, script, keys, now, args)
                .await;
        };
        let client = self.client(true)?;
        let link = Link::of(client);
        let keys = self.keys.of_script(partition, true);
        let answer = self.call(client, script, keys, now, args).await?;
        let key = keys.first().map_or("", String::as_str);
        replicas.wait(client, link, key).await?;
        Ok(answer)
    }

    async fn call(
        &self,
        client: &Client,
        script: Script,
        keys: &[String],
        now: &str,
        args: &Args,
    ) -> std::result::Result<Value, Error> {
        let keys = || keys.iter().map(String::as_str).collect::<MultipleKeys>();
        let values = || {
            let all = [self.channel.as_str().into(), now.into()];
            all.into_iter().chain(args.values()).collect::<Vec<Value>>()
        };
        if let Some(hash) = self.scripts.hash(script) {
            match client.evalsha(hash, keys(), values()).await {
                Err(error) if is_unknown_script(&error) => {}
                answer => return answer,
            }
        }
        // This also makes the server know the script, on the node that keeps the partition.
        let answer = client.eval(script.source(), keys(), values()).await?;
        if self.scripts.hash(script).is_none() {
            // The script has run; without its hash the next call sends it whole again.
            if let Ok(hash) = client.script_load::<String, _>(script.source()).await {
                self.scripts.keep_hash(script, hash);
            }
        }
        Ok(answer)
    }

    /// A client for a call that waits for replicas, or for one that does not. The server holds up
    /// what comes behind one that waits on the same connection; so the others have a client of their
    /// own, where there are two.
    fn client(&self, waits: bool) -> std::result::Result<&Client, Error> {
        let clients: &[Client] = match (self.replicas, &*self.clients.0) {
            (Some(_), [first, rest @ ..]) if !rest.is_empty() => {
                if waits {
                    rest
                } else {
                    std::slice::from_ref(first)
                }
            }
            (_, all) => all,
        };
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let next = (0..clients.len()).map(|n| turn.wrapping_add(n) % clients.len());
        let connected = next
            .filter_map(|n| clients.get(n))
            .find(|client| client.is_connected());
        let none = || Error::new(ErrorKind::Config, "the pool has no client");
        connected.or_else(|| clients.first()).ok_or_else(none)
    }
}
