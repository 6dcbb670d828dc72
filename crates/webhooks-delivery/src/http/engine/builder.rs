//! Sets up a delivery engine.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use webhooks_core::{Clock, MAX_TIMEOUT_SECONDS, Observe, Result, WebhookError};

use super::DeliveryEngine;
use crate::http::file_limit::FileLimit;
use crate::http::idle_pool::IdlePool;
use crate::http::network::{Connector, Proxy, ProxyConfig};
use crate::http::response::Reading;
use crate::http::scarcity::Scarcity;
use crate::http::{NetworkPolicy, Resolve, SystemResolver, TlsOptions};
use crate::observer::Observer;

/// Sets up a [`DeliveryEngine`].
///
/// Every setting has a default that is safe for endpoints that strangers register.
#[must_use]
pub struct DeliveryEngineBuilder {
    clock: Arc<dyn Clock>,
    policy: NetworkPolicy,
    resolver: Option<Arc<dyn Resolve>>,
    tls: TlsOptions,
    proxy: Option<Proxy>,
    timeout: Duration,
    response_read: usize,
    response_kept: usize,
    response_headers: usize,
    /// `None`: by the limit of open files.
    max_idle: Option<usize>,
    max_idle_per_origin: usize,
    observer: Observer,
}

impl DeliveryEngine {
    /// An engine with the defaults of [`builder`](Self::builder).
    ///
    /// # Errors
    ///
    /// As [`DeliveryEngineBuilder::build`].
    pub fn new(clock: Arc<dyn Clock>) -> Result<Self> {
        Self::builder(clock).build()
    }

    /// Starts an engine whose [`deliver`](Self::deliver) takes the time from `clock`.
    pub fn builder(clock: Arc<dyn Clock>) -> DeliveryEngineBuilder {
        DeliveryEngineBuilder::new(clock)
    }
}

impl DeliveryEngineBuilder {
    fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            policy: NetworkPolicy::default(),
            resolver: None,
            tls: TlsOptions::default(),
            proxy: None,
            timeout: Duration::from_secs(30),
            response_read: 64 * 1024,
            response_kept: 4 * 1024,
            response_headers: 0,
            max_idle: None,
            max_idle_per_origin: 256,
            observer: Observer::default(),
        }
    }

    /// What requests may reach. Defaults to the strict policy.
    pub fn network_policy(mut self, policy: NetworkPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// What resolves names; its answers are judged all the same. Defaults to the operating
    /// system's resolver.
    pub fn resolver(mut self, resolver: Arc<dyn Resolve>) -> Self {
        self.resolver = Some(resolver);
        self
    }

    /// Whom to trust under TLS. Defaults to the usual public roots.
    pub fn tls(mut self, tls: TlsOptions) -> Self {
        self.tls = tls;
        self
    }

    /// Sends every request, also over plain http, through a tunnel of this [proxy](ProxyConfig), such
    /// as `http://user:password@host:port`. Unless the proxy is to resolve names, they are resolved and
    /// judged here all the same, and it is asked for the judged address. Defaults to none; the
    /// environment is never looked at.
    ///
    /// # Errors
    ///
    /// [`WebhookError::InvalidConfig`] when the URL is not of that form.
    pub fn proxy(mut self, proxy: impl Into<ProxyConfig>) -> Result<Self> {
        self.proxy = Some(proxy.into().build()?);
        Ok(self)
    }

    /// The deadline of one attempt for endpoints that have none of their own, in
    /// [`DeliveryEngine::deliver`]. Defaults to 30 seconds; above zero and at most an hour.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How many bytes of a response's body are read, and how many of those are kept. Defaults to
    /// 64 KiB and 4 KiB.
    ///
    /// A body that is longer than `read` closes its connection and is no failure. What is kept goes
    /// into the log of attempts, so that `kept` is also what each attempt takes in the storage.
    pub fn response_limits(mut self, read: usize, kept: usize) -> Self {
        self.response_read = read;
        self.response_kept = kept;
        self
    }

    /// How many bytes of a response's headers are kept, names and values together: those that fit, in
    /// the order in which they came, without `set-cookie`. Defaults to 0, none.
    pub const fn response_headers(mut self, kept: usize) -> Self {
        self.response_headers = kept;
        self
    }

    /// How many connections are kept in all while no request uses them; for one more, that is closed
    /// which was idle for longest. Defaults to 4,096, or fewer where the limit of open files of this
    /// process is low: half of what that leaves over, as it was when the engine was built.
    pub fn max_idle(mut self, connections: usize) -> Self {
        self.max_idle = Some(connections);
        self
    }

    /// How many connections to one scheme, host and port are kept while no request uses them, each
    /// for a minute at most. With fewer than there are requests at a time a burst connects anew, so
    /// that this number is also taken for that of requests at a time, where the limit of open files
    /// is looked at. Defaults to 256.
    pub fn max_idle_per_origin(mut self, connections: usize) -> Self {
        self.max_idle_per_origin = connections;
        self
    }

    /// Who is told on which [connections](Observe::connection_used) requests go. Defaults to nobody.
    pub fn observer(mut self, observer: Arc<dyn Observe>) -> Self {
        self.observer = Observer::new(Some(observer));
        self
    }

    /// Builds the engine. Needs no runtime; sending does.
    ///
    /// # Errors
    ///
    /// [`WebhookError::InvalidConfig`] when the timeout is out of its bounds, or a certificate or
    /// key is malformed.
    pub fn build(self) -> Result<DeliveryEngine> {
        let most = Duration::from_secs(MAX_TIMEOUT_SECONDS);
        if self.timeout.is_zero() || self.timeout > most {
            return Err(WebhookError::InvalidConfig(
                format!(
                    "the timeout is {:?}, it needs more than 0 and at most {MAX_TIMEOUT_SECONDS} s",
                    self.timeout
                )
                .into(),
            ));
        }
        // The engine is not told how many requests run at a time; it takes this number for it.
        let (files, requests) = (FileLimit::read(), self.max_idle_per_origin);
        if let Some(warning) = files.warning(requests) {
            tracing::warn!("{warning}");
        }
        let max_idle = self.max_idle.unwrap_or_else(|| files.idle(requests));
        let resolver = self
            .resolver
            .unwrap_or_else(|| Arc::new(SystemResolver::new()));
        Ok(DeliveryEngine {
            clock: self.clock,
            connector: Connector::new(self.policy, resolver, self.tls.build()?, self.proxy),
            idle: Arc::new(IdlePool::new(max_idle, self.max_idle_per_origin)),
            scarcity: Scarcity::default(),
            reading: Reading::new(
                self.response_read,
                self.response_kept,
                self.response_headers,
            ),
            observer: self.observer,
            timeout: self.timeout,
            prepared: RwLock::new(HashMap::new()),
        })
    }
}

impl fmt::Debug for DeliveryEngineBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeliveryEngineBuilder")
            .field("policy", &self.policy)
            .field("tls", &self.tls)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
