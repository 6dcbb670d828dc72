//! What only whoever has opened a storage can tell and do of it.

use std::fmt::Debug;

use async_trait::async_trait;
use webhooks_core::{Reencrypted, Result};

/// The side of a storage that its kind alone has: how well it keeps what it was given, its schema, its
/// encryption. `GET /doctor` and `POST /reencrypt` ask it.
///
/// ```
/// use std::sync::Arc;
///
/// use better_auth_webhooks::WebhookError;
/// use better_auth_webhooks::storage::{Reencrypted, SqliteStorage};
/// use webhooks_server::Maintenance;
///
/// #[derive(Debug)]
/// struct OfFile(Arc<SqliteStorage>);
///
/// #[async_trait::async_trait]
/// impl Maintenance for OfFile {
///     async fn reencrypt(&self) -> Result<Option<Reencrypted>, WebhookError> {
///         self.0.reencrypt().await.map(Some)
///     }
/// }
/// ```
#[async_trait]
pub trait Maintenance: Debug + Send + Sync + 'static {
    /// What a crash may lose of what was acknowledged, one sentence for each cause. The default knows
    /// of none.
    fn durability_warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// The version of the schema, and the newest one that this process knows; `None` where there is no
    /// schema, which is the default.
    ///
    /// # Errors
    ///
    /// Those of the storage.
    async fn schema_version(&self) -> Result<Option<(u32, u32)>> {
        Ok(None)
    }

    /// Encrypts the credentials of all endpoints with the newest key; `None` where nothing is
    /// encrypted, which is the default.
    ///
    /// # Errors
    ///
    /// Those of the storage.
    async fn reencrypt(&self) -> Result<Option<Reencrypted>> {
        Ok(None)
    }
}

/// A storage of which nothing is known but what every storage does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unknown;

impl Maintenance for Unknown {}
