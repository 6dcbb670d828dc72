//! The conformance suite on a storage that gets nothing but encrypted credentials.
#![expect(clippy::unwrap_used, reason = "this is a helper of tests")]

use webhooks_core::{EncryptionKeys, Sealed};
use webhooks_storage_memory::MemoryStorage;
use webhooks_storage_testkit::{Backend, Capabilities};

struct Encrypted;

#[async_trait::async_trait]
impl Backend for Encrypted {
    type Storage = Sealed<MemoryStorage>;

    async fn fresh(&self) -> Self::Storage {
        let keys = EncryptionKeys::new("k2", &[2; 32]).unwrap();
        let keys = keys.with_older("k1", &[1; 32]).unwrap();
        Sealed::new(MemoryStorage::new(), keys)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            wakes: true,
            rewrites_credentials: true,
            documents: true,
            statistics: true,
        }
    }
}

webhooks_storage_testkit::conformance!(Encrypted);
