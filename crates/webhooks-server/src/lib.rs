//! The HTTP API of a [`WebhookSystem`](better_auth_webhooks::WebhookSystem).
//!
//! ```no_run
//! use better_auth_webhooks::WebhookSystem;
//! use better_auth_webhooks::storage::MemoryStorage;
//! use webhooks_server::Server;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let system = WebhookSystem::new(MemoryStorage::new());
//! let key = std::env::var("WEBHOOKS_ROOT_KEY")?;
//! let server = Server::builder(system).root_key(&key).build()?;
//!
//! let app = axum::Router::new().nest_service("/webhooks", server.into_router());
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8700").await?;
//! axum::serve(listener, app).await?;
//! # Ok(())
//! # }
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]

mod access;
mod api;
mod documents;
mod live;
mod maintenance;
mod measure;
mod ops;
mod problem;
mod remembered;
mod server;

pub use self::access::{Authenticate, Caller, Role, Scope, Scopes, Via};
pub use self::live::Closer;
pub use self::maintenance::Maintenance;
pub use self::problem::Problem;
pub use self::server::{Server, ServerBuilder};

/// Compiles the example of the page that people read first.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// Compiles the example of the page about the server.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/server.md")]
struct Page;
