//! The conformance suite on a file that keeps credentials encrypted, behind
//! `Arc<dyn WebhookStorage>`.
#![expect(clippy::unwrap_used, reason = "this is a helper of tests")]

mod support;

use std::path::PathBuf;
use std::sync::Arc;

use webhooks_core::storage::WebhookStorage;
use webhooks_storage_sqlite::{EncryptionKeys, SqliteStorage};
use webhooks_storage_testkit::{Backend, Capabilities};

struct Encrypted {
    folder: PathBuf,
}

#[async_trait::async_trait]
impl Backend for Encrypted {
    type Storage = Arc<dyn WebhookStorage>;

    async fn fresh(&self) -> Self::Storage {
        let keys = EncryptionKeys::new("k2", &[2; 32]).unwrap();
        let keys = keys.with_older("k1", &[1; 32]).unwrap();
        // A backend may be asked more than once, by the random sequences, after it was disposed of.
        std::fs::create_dir_all(&self.folder).unwrap();
        let path = self.folder.join(format!("{:016x}.db", fastrand::u64(..)));
        let storage = SqliteStorage::builder(path).encryption_keys(keys);
        Arc::new(storage.open().await.unwrap())
    }

    async fn dispose(&self, _storage: &Self::Storage) {
        std::fs::remove_dir_all(&self.folder).unwrap_or_default();
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            wakes: true,
            rewrites_credentials: true,
            documents: true,
            statistics: true,
        }
    }

    fn random_sequences(&self) -> u32 {
        16
    }
}

webhooks_storage_testkit::conformance!(Encrypted {
    folder: support::fresh_folder()
});
