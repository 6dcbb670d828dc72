//! What an author gives the suite: how to make a storage, and what it can do.

use async_trait::async_trait;
use webhooks_core::storage::WebhookStorage;

/// A storage under test.
///
/// One value makes the storages of all cases. They may run at the same time, so that `fresh` must
/// give each of them a namespace of its own.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// The storage's type; `Arc<dyn WebhookStorage>` is one too.
    type Storage: WebhookStorage;

    /// An empty storage that shares nothing with any other: a schema, a key prefix, a file.
    async fn fresh(&self) -> Self::Storage;

    /// Removes what [`fresh`](Self::fresh) made, once its case has passed. Does nothing by
    /// default. What a failed case leaves is kept for a look at it.
    async fn dispose(&self, _storage: &Self::Storage) {}

    /// What the storage can do that others need not.
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    /// How many random sequences `random_operations` runs. Defaults to the environment variable
    /// `WEBHOOKS_TESTKIT_CASES`, else to 64.
    ///
    /// A storage behind a network is slower by orders of magnitude: fewer sequences in each run,
    /// and another seed every night, find as much.
    fn random_sequences(&self) -> u32 {
        let set = std::env::var("WEBHOOKS_TESTKIT_CASES");
        set.ok().and_then(|n| n.parse().ok()).unwrap_or(64)
    }
}

/// What a storage can do that others need not; a case that needs it is a no-op without it.
///
/// It is declared here and not found out by a case, so that a case which cannot pass never passes
/// silently.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// [`wait`](WebhookStorage::wait) returns soon after work came; without it, work is found by
    /// polling. Defaults to false.
    pub wakes: bool,
    /// [`rewrite_credentials`](WebhookStorage::rewrite_credentials) does not refuse. Defaults to
    /// false.
    pub rewrites_credentials: bool,
    /// [`documents`](WebhookStorage::documents) gives a store. Defaults to false.
    pub documents: bool,
    /// [`stats`](WebhookStorage::stats) gives what was added. Defaults to false.
    pub statistics: bool,
}
