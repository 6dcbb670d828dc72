//! Sets a system up.

mod network;
mod observing;

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use webhooks_core::storage::{Retention, WebhookStorage};
use webhooks_core::{CircuitBreakerConfig, RateLimitConfig, Result, RetryStrategy, Transport};
use webhooks_delivery::{
    DeliveryEngine, NetworkPolicy, Pipeline, ProxyConfig, Resolve, Settings, TlsOptions,
};
use webhooks_resilience::ResilienceAdmission;

use crate::WebhookSystem;
use crate::endpoint_rules::EndpointRules;

/// Sets a [`WebhookSystem`] up.
#[derive(Clone)]
#[must_use = "a builder does nothing until it is built"]
pub struct WebhookSystemBuilder {
    settings: Settings,
    circuit_breaker: CircuitBreakerConfig,
    transport: Option<Arc<dyn Transport>>,
    network_policy: NetworkPolicy,
    resolver: Option<Arc<dyn Resolve>>,
    tls: TlsOptions,
    max_idle_connections: Option<usize>,
    response_limits: Option<(usize, usize)>,
    response_headers: usize,
    proxy: Option<ProxyConfig>,
    endpoint_rules: EndpointRules,
}

impl WebhookSystem {
    /// Sets a system up.
    ///
    /// ```
    /// use better_auth_webhooks::storage::MemoryStorage;
    /// use better_auth_webhooks::{RateLimitConfig, WebhookSystem};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let system = WebhookSystem::builder()
    ///     .rate_limit(RateLimitConfig { requests_per_second: 10, burst_size: 20 })
    ///     .build(MemoryStorage::new());
    /// # assert!(system.health().await.is_healthy());
    /// # }
    /// ```
    pub fn builder() -> WebhookSystemBuilder {
        WebhookSystemBuilder::new()
    }
}

impl WebhookSystemBuilder {
    pub(crate) fn new() -> Self {
        Self {
            settings: Settings::default(),
            circuit_breaker: CircuitBreakerConfig::default(),
            transport: None,
            network_policy: NetworkPolicy::default(),
            resolver: None,
            tls: TlsOptions::default(),
            max_idle_connections: None,
            response_limits: None,
            response_headers: 0,
            proxy: None,
            endpoint_rules: EndpointRules::default(),
        }
    }

    /// The schedule of retries. Defaults to 11 retries over about 28 hours.
    ///
    /// ```
    /// use better_auth_webhooks::{RetryStrategy, WebhookSystem};
    ///
    /// let builder = WebhookSystem::builder()
    ///     .retry_strategy(RetryStrategy {
    ///         max_retries: 5,
    ///         initial_delay_ms: 1_000,
    ///         max_delay_ms: 300_000,
    ///         backoff_multiplier: 2.0,
    ///     });
    /// ```
    pub const fn retry_strategy(mut self, retry_strategy: RetryStrategy) -> Self {
        self.settings.retry_strategy = retry_strategy;
        self
    }

    /// When an endpoint that fails is left alone. Defaults to 5 failures in a row, for 60 s.
    ///
    /// ```
    /// use better_auth_webhooks::{CircuitBreakerConfig, WebhookSystem};
    ///
    /// let builder = WebhookSystem::builder()
    ///     .circuit_breaker(CircuitBreakerConfig {
    ///         failure_threshold: 10,
    ///         ..Default::default()
    ///     });
    /// ```
    pub const fn circuit_breaker(mut self, circuit_breaker: CircuitBreakerConfig) -> Self {
        self.circuit_breaker = circuit_breaker;
        self
    }

    /// The rate limit of every endpoint that has none of its own. Defaults to no limit.
    ///
    /// ```
    /// use better_auth_webhooks::{RateLimitConfig, WebhookSystem};
    ///
    /// let builder = WebhookSystem::builder()
    ///     .rate_limit(RateLimitConfig {
    ///         requests_per_second: 10,
    ///         burst_size: 20,
    ///     });
    /// ```
    pub const fn rate_limit(mut self, rate_limit: RateLimitConfig) -> Self {
        self.settings.rate_limit = Some(rate_limit);
        self
    }

    /// The deadline of one attempt, in seconds. Defaults to 30; 1 to 3,600.
    ///
    /// ```
    /// use better_auth_webhooks::WebhookSystem;
    ///
    /// let builder = WebhookSystem::builder().timeout_seconds(10);
    /// ```
    pub const fn timeout_seconds(mut self, seconds: u64) -> Self {
        self.settings.timeout = Duration::from_secs(seconds);
        self
    }

    /// The deadline of one attempt, as [`timeout_seconds`](Self::timeout_seconds) and in the same
    /// bounds.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use better_auth_webhooks::WebhookSystem;
    ///
    /// let builder = WebhookSystem::builder().timeout(Duration::from_secs(10));
    /// ```
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout = timeout;
        self
    }

    /// Tasks of this process that claim deliveries. Defaults to 4; 0 makes it send-only.
    ///
    /// ```
    /// use better_auth_webhooks::WebhookSystem;
    ///
    /// let builder = WebhookSystem::builder().workers(0); // it sends, and leaves the delivering to others
    /// ```
    pub const fn workers(mut self, workers: usize) -> Self {
        self.settings.workers = workers;
        self
    }

    /// Requests in flight at most, and idle connections kept per scheme, host and port. Defaults to
    /// 256.
    ///
    /// ```
    /// use better_auth_webhooks::WebhookSystem;
    ///
    /// let builder = WebhookSystem::builder().max_in_flight(1_024);
    /// ```
    pub const fn max_in_flight(mut self, requests: usize) -> Self {
        self.settings.max_in_flight = requests;
        self
    }

    /// Connections kept in all while no request uses them, each for a minute at most; for one more,
    /// that is closed which was idle for longest. Defaults to 4,096, or to half of what the limit of
    /// open files of this process leaves over beside `max_in_flight` and 256 others.
    ///
    /// ```
    /// use better_auth_webhooks::WebhookSystem;
    ///
    /// let builder = WebhookSystem::builder().max_idle_connections(100);
    /// ```
    pub const fn max_idle_connections(mut self, connections: usize) -> Self {
        self.max_idle_connections = Some(connections);
        self
    }

    /// Requests in flight to one endpoint at most. Defaults to 16.
    ///
    /// ```
    /// use better_auth_webhooks::WebhookSystem;
    ///
    /// let builder = WebhookSystem::builder().max_in_flight_per_endpoint(4);
    /// ```
    pub const fn max_in_flight_per_endpoint(mut self, requests: usize) -> Self {
        self.settings.max_in_flight_per_endpoint = requests;
        self
    }

    /// Requests in flight to all endpoints of one tenant at most, so that what one customer's
    /// endpoints do leaves room for the others. Defaults to half of
    /// [`max_in_flight`](Self::max_in_flight); 1 or more.
    ///
    /// ```
    /// use better_auth_webhooks::WebhookSystem;
    ///
    /// let builder = WebhookSystem::builder().max_in_flight_per_tenant(64);
    /// ```
    pub fn max_in_flight_per_tenant(mut self, requests: impl Into<Option<usize>>) -> Self {
        self.settings.max_in_flight_per_tenant = requests.into();
        self
    }

    /// The longest `timeout_seconds` of an endpoint with a tenant: a longer one is refused at
    /// registration, and one that is stored already counts as this. Defaults to 120, or to the
    /// system's timeout where that is longer; 1 to 3,600. Endpoints without a tenant may have 3,600.
    ///
    /// ```
    /// use better_auth_webhooks::WebhookSystem;
    ///
    /// let builder = WebhookSystem::builder().max_tenant_timeout_seconds(30);
    /// ```
    pub const fn max_tenant_timeout_seconds(mut self, seconds: u64) -> Self {
        self.settings.max_tenant_timeout = Duration::from_secs(seconds);
        self
    }

    /// The longest timeout of an endpoint with a tenant, as
    /// [`max_tenant_timeout_seconds`](Self::max_tenant_timeout_seconds) and in the same bounds.
    pub const fn max_tenant_timeout(mut self, timeout: Duration) -> Self {
        self.settings.max_tenant_timeout = timeout;
        self
    }

    /// The longest body of one event, in bytes. Defaults to 256 KiB.
    ///
    /// ```
    /// use better_auth_webhooks::WebhookSystem;
    ///
    /// let builder = WebhookSystem::builder().max_body_bytes(1 << 20);
    /// ```
    pub const fn max_body_bytes(mut self, bytes: usize) -> Self {
        self.settings.max_body_bytes = bytes;
        self
    }

    /// How long things are kept. Defaults to 7 days for what arrived, 30 for the log and for what
    /// waits, 90 for dead letters, and 7
    /// for events, or as long as there is a delivery of them.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use better_auth_webhooks::WebhookSystem;
    /// use better_auth_webhooks::storage::Retention;
    ///
    /// let builder = WebhookSystem::builder().retention(Retention {
    ///     delivered: Duration::from_secs(86_400),
    ///     ..Default::default()
    /// });
    /// ```
    pub const fn retention(mut self, retention: Retention) -> Self {
        self.settings.retention = retention;
        self
    }

    /// Whether an event is kept that no endpoint takes, to be listed, and delivered to an endpoint that
    /// comes later. Defaults to true.
    ///
    /// ```
    /// use better_auth_webhooks::WebhookSystem;
    ///
    /// let builder = WebhookSystem::builder().keep_unmatched(false);
    /// ```
    pub const fn keep_unmatched(mut self, keep: bool) -> Self {
        self.settings.keep_unmatched = keep;
        self
    }

    /// How long an endpoint may only fail before it is disabled; `None` never disables one.
    /// Defaults to 5 days.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use better_auth_webhooks::WebhookSystem;
    ///
    /// let builder = WebhookSystem::builder().auto_disable_after(Duration::from_secs(86_400)); // or `None`
    /// ```
    pub fn auto_disable_after(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.settings.auto_disable_after = time.into();
        self
    }

    /// Sends requests by this instead of a [`DeliveryEngine`]: that of `webhooks-testing` in tests, or
    /// one of your own. What is set here about the network and about answers then has no meaning:
    /// policy, resolver, TLS, proxy, idle connections and response limits are the engine's. Also an
    /// `Arc` of a transport is one.
    ///
    /// ```
    /// use better_auth_webhooks::WebhookSystem;
    /// use better_auth_webhooks::storage::MemoryStorage;
    /// use webhooks_testing::ScriptedTransport;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let transport = ScriptedTransport::new();
    /// let system = WebhookSystem::builder()
    ///     .transport(transport.clone())
    ///     .build(MemoryStorage::new());
    /// # drop(system);
    /// # }
    /// ```
    pub fn transport(mut self, transport: impl Transport) -> Self {
        self.transport = Some(Arc::new(transport));
        self
    }

    /// Whether an endpoint gets no events until it has answered a challenge: one that is registered,
    /// or whose URL is changed, is [unverified](crate::storage::DisabledBy::Unverified) until
    /// [`verify_endpoint`](WebhookSystem::verify_endpoint) succeeds. Endpoints that are active
    /// already stay so. Defaults to false.
    ///
    /// ```
    /// use better_auth_webhooks::WebhookSystem;
    ///
    /// let builder = WebhookSystem::builder().require_verification(true);
    /// ```
    pub const fn require_verification(mut self, require: bool) -> Self {
        self.endpoint_rules.require_verification = require;
        self
    }

    /// How many endpoints one tenant may have; those without a tenant are not counted. More are
    /// refused at registration. It is looked at before an endpoint is stored, so nodes that register
    /// at the same moment may each add one. Defaults to no bound; 1 or more.
    ///
    /// ```
    /// use better_auth_webhooks::WebhookSystem;
    ///
    /// let builder = WebhookSystem::builder().max_endpoints_per_tenant(20);
    /// ```
    pub fn max_endpoints_per_tenant(mut self, endpoints: impl Into<Option<usize>>) -> Self {
        self.endpoint_rules.max_per_tenant = endpoints.into();
        self
    }

    /// Starts the system. With a setting out of its bounds every call of it returns
    /// [`InvalidConfig`](crate::WebhookError::InvalidConfig); [`try_build`](Self::try_build)
    /// returns that at once.
    ///
    /// ```
    /// use better_auth_webhooks::WebhookSystem;
    /// use better_auth_webhooks::storage::MemoryStorage;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let system = WebhookSystem::builder().workers(2).build(MemoryStorage::new());
    /// # assert!(system.health().await.is_healthy());
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// Outside a Tokio runtime, since its tasks run there.
    #[track_caller]
    pub fn build(self, storage: impl WebhookStorage) -> WebhookSystem {
        require_runtime();
        let rules = self.endpoint_rules;
        WebhookSystem::from_pipeline(self.start(Arc::new(storage)), rules)
    }

    /// Starts the system.
    ///
    /// ```
    /// use better_auth_webhooks::storage::MemoryStorage;
    /// use better_auth_webhooks::{WebhookError, WebhookSystem};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let refused = WebhookSystem::builder()
    ///     .timeout_seconds(0)
    ///     .try_build(MemoryStorage::new());
    /// assert!(matches!(refused, Err(WebhookError::InvalidConfig(_))));
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](crate::WebhookError::InvalidConfig) that names the setting.
    ///
    /// # Panics
    ///
    /// Outside a Tokio runtime, since its tasks run there.
    #[track_caller]
    pub fn try_build(self, storage: impl WebhookStorage) -> Result<WebhookSystem> {
        require_runtime();
        let rules = self.endpoint_rules;
        let pipeline = self.start(Arc::new(storage))?;
        Ok(WebhookSystem::from_pipeline(Ok(pipeline), rules))
    }

    fn start(mut self, storage: Arc<dyn WebhookStorage>) -> Result<Pipeline> {
        self.circuit_breaker.validate()?;
        self.endpoint_rules.validate()?;
        self.settings.half_open_max_requests = self.circuit_breaker.half_open_max_requests;
        let admission = Arc::new(ResilienceAdmission::new(self.circuit_breaker));
        let (timeout, most) = (self.settings.timeout, self.settings.max_in_flight);
        let observer = self.settings.observer.clone();
        let transport = |clock| {
            if let Some(transport) = self.transport {
                return Ok(transport);
            }
            let mut engine = DeliveryEngine::builder(clock)
                .network_policy(self.network_policy)
                .tls(self.tls)
                .timeout(timeout)
                .max_idle_per_origin(most);
            if let Some(observer) = observer {
                engine = engine.observer(observer);
            }
            if let Some(resolver) = self.resolver {
                engine = engine.resolver(resolver);
            }
            if let Some(connections) = self.max_idle_connections {
                engine = engine.max_idle(connections);
            }
            if let Some((read, kept)) = self.response_limits {
                engine = engine.response_limits(read, kept);
            }
            engine = engine.response_headers(self.response_headers);
            if let Some(proxy) = self.proxy {
                engine = engine.proxy(proxy)?;
            }
            let engine: Arc<dyn Transport> = Arc::new(engine.build()?);
            Ok(engine)
        };
        Pipeline::start(storage, transport, admission, self.settings)
    }
}

#[track_caller]
#[expect(
    clippy::panic,
    reason = "promised and documented: there is nothing to run the tasks on"
)]
fn require_runtime() {
    if Handle::try_current().is_err() {
        panic!(
            "a WebhookSystem runs its tasks on a Tokio runtime: build it inside one, such as in \
             a function under #[tokio::main]"
        );
    }
}

impl std::fmt::Debug for WebhookSystemBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookSystemBuilder")
            .field("settings", &self.settings)
            .field("circuit_breaker", &self.circuit_breaker)
            .field("network_policy", &self.network_policy)
            .field("endpoint_rules", &self.endpoint_rules)
            .finish_non_exhaustive()
    }
}
