//! A server of this process alone, on a storage that it has opened: no socket, and no key.
//!
//! It has no workers, so that a look never delivers: what it stores goes out from the processes that serve the
//! same storage. A test or a challenge of an endpoint goes out from here.

use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use better_auth_webhooks::{NetworkPolicy, RateLimitConfig, WebhookSystem};
use http::Response;
use http::request::Parts;
use tower_service::Service;
use url::Url;
use webhooks_server::{Authenticate, Caller, Problem, Role, Server};

use super::request::{Request, with_body};
use crate::failure::Failure;
use crate::settings::Network;
use crate::storage;
use crate::storage_url::StorageUrl;

/// How long what has begun may take at the end.
const PATIENCE: Duration = Duration::from_secs(5);
/// Who owns a storage may ask as often as they like.
const UNLIMITED: RateLimitConfig = RateLimitConfig {
    requests_per_second: 1_000_000,
    burst_size: 1_000_000,
};

/// A system on a storage, and the routes of its API.
pub(crate) struct Local {
    system: WebhookSystem,
    /// All routes of its API.
    router: Router,
    /// The address under which the routes know themselves.
    base: Url,
}

/// Whoever can open the storage may do everything.
#[derive(Debug)]
struct Owner;

#[async_trait]
impl Authenticate for Owner {
    async fn caller(&self, _: &Parts) -> Result<Option<Caller>, Problem> {
        Ok(Some(Caller::host("cli", Role::Admin.scopes())))
    }
}

impl Local {
    /// Opens the storage.
    pub(super) async fn open(url: &StorageUrl, network: Network) -> Result<Self, Failure> {
        let builder = WebhookSystem::builder().workers(0);
        let builder = match network {
            Network::Strict => builder,
            Network::Permissive => builder.network_policy(NetworkPolicy::permissive()),
        };
        let storage = storage::open(url).await?;
        let system = builder.try_build(storage.storage())?;
        let server = Server::builder(system.clone())
            .authenticate(Owner)
            .maintenance(storage)
            .rate_limit(UNLIMITED)
            .build()?;
        let base = Url::parse("http://localhost/api/v1");
        Ok(Self {
            system,
            router: server.into_router(),
            base: base.map_err(|error| Failure::unreachable("no address", &error))?,
        })
    }

    /// Asks the routes.
    pub(super) async fn call(&self, request: Request) -> Result<Response<Body>, Failure> {
        let request = with_body(request.under(&self.base)?);
        match self.router.clone().call(request).await {
            Ok(response) => Ok(response),
            Err(never) => match never {},
        }
    }

    /// Gives back what was opened.
    pub(super) async fn close(self) {
        if let Err(error) = self.system.shutdown(PATIENCE).await {
            tracing::debug!(%error, "the storage is left as it is");
        }
    }
}
