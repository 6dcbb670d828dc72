//! The server: a system behind routes.

use std::fmt;
use std::sync::{Arc, OnceLock};

use axum::Router;
use better_auth_webhooks::{RateLimitConfig, WebhookSystem};
use ipnet::IpNet;
use utoipa::openapi::OpenApi;
use webhooks_core::{Result, WebhookError};

use crate::access::{
    Access, ApiKeys, Authenticate, Limits, Proxies, Rates, RootKey, ServerSecret, Sessions,
    TenantTokens,
};
use crate::api::{self, Api};
use crate::documents::Documents;
use crate::live::{Closer, Live};
use crate::maintenance::{Maintenance, Unknown};
use crate::measure::Measure;
use crate::ops::{JobRunner, Ops, OpsParts};

/// The shortest root key, in bytes.
const MIN_ROOT_KEY: usize = 32;

/// The HTTP API of a system, to be mounted or served alone.
#[derive(Debug)]
pub struct Server {
    router: Router,
    document: OpenApi,
    closer: Closer,
}

impl Server {
    /// Begins a server of this system.
    ///
    /// Without a root key and without [`authenticate`](ServerBuilder::authenticate) nobody can make the first
    /// key, so one of the two is needed on an empty storage.
    pub fn builder(system: WebhookSystem) -> ServerBuilder {
        ServerBuilder {
            system,
            root_key: None,
            server_secrets: Vec::new(),
            proxies: Proxies::default(),
            reveals_secrets: false,
            host: None,
            maintenance: Arc::new(Unknown),
            measure: Measure::default(),
            rates: Rates {
                operators: RateLimitConfig {
                    requests_per_second: 1_000,
                    burst_size: 2_000,
                },
                tenants: RateLimitConfig {
                    requests_per_second: 10,
                    burst_size: 20,
                },
            },
        }
    }

    /// The routes: `/api/v1/..`, `/livez` and `/readyz`. It is a service that can be nested under any
    /// prefix.
    ///
    /// ```no_run
    /// # use better_auth_webhooks::{WebhookSystem, storage::MemoryStorage};
    /// # use webhooks_server::Server;
    /// # fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let system = WebhookSystem::new(MemoryStorage::new());
    /// let server = Server::builder(system).build()?;
    /// let app: axum::Router = axum::Router::new().nest_service("/webhooks", server.into_router());
    /// # Ok(())
    /// # }
    /// ```
    pub fn into_router(self) -> Router {
        self.router
    }

    /// Ends streams and exports, which would hold up the end of the process.
    ///
    /// It is taken before [`into_router`](Self::into_router), which consumes the server. A graceful end waits
    /// for open connections, and a stream would keep its own open for hours:
    ///
    /// ```no_run
    /// # use better_auth_webhooks::{WebhookSystem, storage::MemoryStorage};
    /// # use webhooks_server::Server;
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = Server::builder(WebhookSystem::new(MemoryStorage::new())).build()?;
    /// let closer = server.closer();
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:8700").await?;
    /// axum::serve(listener, server.into_router())
    ///     .with_graceful_shutdown(async move {
    ///         std::future::pending::<()>().await; // until the host wants to end
    ///         closer.close();
    ///     })
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn closer(&self) -> Closer {
        self.closer.clone()
    }

    /// The document that describes the API, OpenAPI 3.1 as JSON.
    ///
    /// # Errors
    ///
    /// [`WebhookError::SerializationError`], never in practice.
    ///
    /// A build of a client can read it from here, without a server that runs:
    ///
    /// ```no_run
    /// # use better_auth_webhooks::{WebhookSystem, storage::MemoryStorage};
    /// # use webhooks_server::Server;
    /// # fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = Server::builder(WebhookSystem::new(MemoryStorage::new())).build()?;
    /// std::fs::write("openapi.json", server.openapi()?)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn openapi(&self) -> Result<String> {
        Ok(self.document.to_pretty_json()?)
    }
}

/// What a [`Server`] is made with.
#[must_use = "a server is made by `build`"]
pub struct ServerBuilder {
    system: WebhookSystem,
    root_key: Option<String>,
    server_secrets: Vec<String>,
    proxies: Proxies,
    reveals_secrets: bool,
    host: Option<Arc<dyn Authenticate>>,
    maintenance: Arc<dyn Maintenance>,
    measure: Measure,
    rates: Rates,
}

impl ServerBuilder {
    /// A key that opens everything and is kept nowhere: with it the first keys are made. At least 32
    /// bytes.
    ///
    /// Servers of one storage should have the same one. Another key ends the sessions that were begun with the one
    /// before. [`build`](Self::build) refuses one that is too short.
    pub fn root_key(mut self, key: impl Into<String>) -> Self {
        self.root_key = Some(key.into());
        self
    }

    /// What this server signs tokens of tenants with: Base64 of 32 random bytes or more. The first one
    /// that is given signs, each verifies. With none, the servers of a storage make one and keep it
    /// there, where whoever reads the storage can read it.
    ///
    /// To rotate, give the old one and the new one until the tokens that the old one signed have ended, which
    /// takes an hour at most:
    ///
    /// ```no_run
    /// # use webhooks_server::ServerBuilder;
    /// # fn example(builder: ServerBuilder, new: &str, old: &str) -> ServerBuilder {
    /// builder.server_secret(new).server_secret(old)
    /// # }
    /// ```
    pub fn server_secret(mut self, secret: impl Into<String>) -> Self {
        self.server_secrets.push(secret.into());
        self
    }

    /// Proxies that are believed when they say by `Forwarded` or `X-Forwarded-For` whom they forward. By
    /// default none are, and a request comes from where its connection does.
    ///
    /// The host must serve with connect info, or no address is known at all. A network that holds more than
    /// your proxies lets its other hosts choose the address that limits and keys are checked against.
    ///
    /// ```no_run
    /// # use webhooks_server::ServerBuilder;
    /// # fn example(builder: ServerBuilder) -> Result<ServerBuilder, ipnet::AddrParseError> {
    /// Ok(builder.trusted_proxies(["10.1.0.0/24".parse()?]))
    /// # }
    /// ```
    pub fn trusted_proxies(mut self, networks: impl IntoIterator<Item = IpNet>) -> Self {
        self.proxies = Proxies(networks.into_iter().collect());
        self
    }

    /// Whether secrets of endpoints can be read again by callers with `endpoints:secrets` who run the
    /// system. Off by default.
    ///
    /// A tenant's caller cannot read a secret again even where it is on. Each reading is noted in the audit
    /// log before the secret is answered.
    pub const fn reveal_secrets(mut self, reveals: bool) -> Self {
        self.reveals_secrets = reveals;
        self
    }

    /// Who calls, as the host knows it: asked for requests without `Authorization`.
    ///
    /// A request with `Authorization` or with a session that goes on never reaches it. [`Authenticate`] has an example.
    pub fn authenticate(mut self, host: impl Authenticate) -> Self {
        self.host = Some(Arc::new(host));
        self
    }

    /// What the kind of the storage alone can tell and do, for `GET /doctor` and `POST /reencrypt`.
    pub fn maintenance(mut self, of: impl Maintenance) -> Self {
        self.maintenance = Arc::new(of);
        self
    }

    /// How often one caller who runs the system may call this process. 1,000 a second by default, and
    /// 2,000 at once: a service that sends its events one by one is such a caller.
    ///
    /// The bucket belongs to one actor in one process. With three processes behind a balancer, a caller has
    /// three times as much.
    ///
    /// ```no_run
    /// # use better_auth_webhooks::RateLimitConfig;
    /// # use webhooks_server::ServerBuilder;
    /// # fn example(builder: ServerBuilder) -> ServerBuilder {
    /// builder.rate_limit(RateLimitConfig { requests_per_second: 200, burst_size: 400 })
    /// # }
    /// ```
    pub const fn rate_limit(mut self, limit: RateLimitConfig) -> Self {
        self.rates.operators = limit;
        self
    }

    /// How often one caller of a tenant may call this process. 10 a second by default, and 20 at
    /// once.
    ///
    /// It is counted by key or token and not by tenant: a tenant with two keys has two buckets.
    pub const fn tenant_rate_limit(mut self, limit: RateLimitConfig) -> Self {
        self.rates.tenants = limit;
        self
    }

    /// What requests, refused keys and streams are counted in. Operators with `metrics:read` scrape it
    /// at `/metrics`, beside the API. It counts what the system does, too, where it is given to
    /// `observe` of the system's builder.
    #[cfg(feature = "telemetry")]
    pub fn telemetry(mut self, telemetry: Arc<webhooks_telemetry::Telemetry>) -> Self {
        self.measure.telemetry = Some(telemetry);
        self
    }

    /// Makes the server.
    ///
    /// # Errors
    ///
    /// [`WebhookError::InvalidConfig`] that names the setting: a root key that is too short, or a
    /// rate limit out of its bounds.
    ///
    /// # Panics
    ///
    /// Outside a Tokio runtime: it begins to look for jobs whose process has died.
    pub fn build(self) -> Result<Server> {
        let length = self.root_key.as_ref().map(String::len);
        if let Some(length @ ..MIN_ROOT_KEY) = length {
            let text = format!("root_key has {length} bytes, it needs {MIN_ROOT_KEY} or more");
            return Err(WebhookError::InvalidConfig(text.into()));
        }
        self.rates.operators.validate()?;
        self.rates.tenants.validate()?;
        let documents = |kind| Documents::new(self.system.clone(), kind);
        let keys = Arc::new(ApiKeys::new(documents("api_key")));
        let secret = ServerSecret::new(&self.server_secrets, documents("server_secret"))?;
        let tokens = TenantTokens::new(Arc::new(secret), documents("tenant_epoch"));
        let tokens = Arc::new(tokens);
        let limits = Arc::new(Limits::new(self.rates));
        let idempotency = documents("idempotency");
        let access = Access {
            keys: keys.clone(),
            tokens: tokens.clone(),
            sessions: Sessions::new(documents("session")),
            host: self.host,
            root: self.root_key.as_deref().map(RootKey::new),
            proxies: self.proxies,
            limits: limits.clone(),
            measure: self.measure.clone(),
        };
        let runner = JobRunner::new(self.system.clone());
        runner.watch();
        let text = Arc::new(OnceLock::new());
        let live = Live::new();
        let closer = live.closer.clone();
        let (router, document) = api::routes(Api {
            ops: Ops::new(OpsParts {
                system: self.system,
                keys,
                tokens,
                limits,
                runner,
                maintenance: self.maintenance,
                reveals_secrets: self.reveals_secrets,
            }),
            access: Arc::new(access),
            idempotency,
            live,
            measure: self.measure,
            document: text.clone(),
        });
        let json = document.to_json()?;
        // Nobody else has it yet.
        let _first = text.set(json);
        Ok(Server {
            router,
            document,
            closer,
        })
    }
}

impl fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerBuilder")
            .field("has_root_key", &self.root_key.is_some())
            .field("server_secrets", &self.server_secrets.len())
            .field("host", &self.host)
            .field("rates", &self.rates)
            .finish_non_exhaustive()
    }
}
