//! A storage that encrypts, around one that keeps what it is given.

use std::sync::Arc;

use crate::storage::spi::EndpointChanges;
use crate::storage::{EndpointRecord, Expected, Saved, WebhookStorage};
use crate::{EncryptionKeys, KeptEndpoint, Result, WebhookEndpoint, WebhookError, forward_storage};

/// Endpoints that are read at a time.
const PAGE: usize = 100;
/// How often an endpoint is looked at again that is saved by others all the while.
const TRIES: usize = 10;

/// Encrypts the credentials of endpoints before the storage inside gets them, and decrypts what
/// that gives back. Everything else goes through as it is.
///
/// Without a key it encrypts nothing, and what is encrypted is unreadable: nothing is ever signed
/// with the text of a secret that could not be decrypted.
///
/// ```
/// use webhooks_core::storage::WebhookStorage;
/// use webhooks_core::{EncryptionKeys, Result, Sealed};
///
/// async fn open<S: WebhookStorage>(storage: S, keys: EncryptionKeys) -> Result<Sealed<S>> {
///     let sealed = Sealed::new(storage, keys);
///     sealed.check_keys().await?;
///     Ok(sealed)
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Sealed<S> {
    storage: S,
    keys: EncryptionKeys,
}

/// What [`Sealed::reencrypt`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reencrypted {
    /// How many endpoints were written anew.
    pub endpoints: usize,
    /// The ids of endpoints that none of the keys can read; they were left as they are.
    pub unreadable: Vec<String>,
}

impl<S: WebhookStorage> Sealed<S> {
    /// A storage that keeps in this one what it encrypts with these keys.
    pub const fn new(storage: S, keys: EncryptionKeys) -> Self {
        Self { storage, keys }
    }

    /// The storage inside, which gives and takes definitions with encrypted credentials.
    pub const fn inner(&self) -> &S {
        &self.storage
    }

    /// Refuses keys that open none of the endpoints that changed first, at most 100 of them, so
    /// that a wrong key is noticed at once.
    ///
    /// # Errors
    ///
    /// Why the first of them does not open; [`WebhookError::StorageError`] when the storage fails.
    pub async fn check_keys(&self) -> Result<()> {
        let sample = self.endpoints_since(0, PAGE).await?.records;
        let mut sample = sample.into_iter().filter(|record| !record.deleted);
        match sample.next().and_then(|first| first.unreadable) {
            Some(error) if sample.all(|record| record.unreadable.is_some()) => Err(error),
            _ => Ok(()),
        }
    }

    /// Encrypts the credentials of all endpoints with the first key: those under another key, and
    /// those that are stored as they are. Nobody sees it as a change. It is safe beside concurrent
    /// saves and may run on several nodes; what it cannot read it leaves, and names in its answer.
    ///
    /// # Errors
    ///
    /// [`WebhookError::InvalidConfig`] without a key; [`WebhookError::StorageError`] when the
    /// storage fails, or has no [`rewrite_credentials`](WebhookStorage::rewrite_credentials). What
    /// was done until then stays done.
    pub async fn reencrypt(&self) -> Result<Reencrypted> {
        if self.keys.is_empty() {
            let text = "there is no encryption key to encrypt with";
            return Err(WebhookError::InvalidConfig(text.into()));
        }
        let mut done = Reencrypted::default();
        let mut revision = 0;
        loop {
            // What is rewritten gets no new revision. What somebody changes meanwhile comes once
            // more, since a gate may have moved and not the definition.
            let page = self.storage.endpoints_since(revision, PAGE).await?;
            for record in page.records.into_iter().filter(|record| !record.deleted) {
                self.reencrypt_one(record.endpoint, &mut done).await?;
            }
            revision = page.revision;
            if !page.more {
                return Ok(done);
            }
        }
    }

    async fn reencrypt_one(
        &self,
        mut stored: Arc<KeptEndpoint>,
        done: &mut Reencrypted,
    ) -> Result<()> {
        for _ in 0..TRIES {
            if self.keys.is_current(&stored) {
                return Ok(());
            }
            let mut opened = KeptEndpoint::clone(&stored);
            if self.keys.open(&mut opened).is_err() {
                if !done.unreadable.contains(&stored.id) {
                    done.unreadable.push(stored.id.clone());
                }
                return Ok(());
            }
            let sealed = self.keys.seal(&opened)?;
            if self.storage.rewrite_credentials(&stored, &sealed).await? {
                done.endpoints += 1;
                return Ok(());
            }
            // Somebody saved it meanwhile, perhaps with an older key, or deleted it.
            let Some(record) = self.storage.endpoint_record(&stored.id).await? else {
                return Ok(());
            };
            stored = record.endpoint;
        }
        let text = format!("endpoint {:?} is saved by others all the while", stored.id);
        Err(WebhookError::transient_storage(
            "cannot encrypt everything",
            text,
        ))
    }

    /// One that does not open is listed without credentials, and with the reason.
    fn open(&self, record: &mut EndpointRecord) {
        // Of a tombstone only the id counts.
        if !record.deleted && record.unreadable.is_none() {
            let endpoint = Arc::make_mut(&mut record.endpoint);
            record.unreadable = self.keys.open(endpoint).err();
        }
    }
}

forward_storage! { [S: WebhookStorage] Sealed<S>, |sealed| sealed.storage, {
    async fn save_definition(
        &self,
        endpoint: &WebhookEndpoint,
        expected: Expected,
    ) -> Result<Saved> {
        // What is expected is a revision, and never compared with credentials, which are another
        // text each time that they are encrypted.
        let endpoint = self.keys.seal(endpoint)?;
        self.storage.save_definition(&endpoint, expected).await
    }

    async fn save_secrets(&self, endpoint: &WebhookEndpoint, expected: u64) -> Result<Saved> {
        let endpoint = self.keys.seal(endpoint)?;
        self.storage.save_secrets(&endpoint, expected).await
    }

    async fn rewrite_credentials(
        &self,
        stored: &WebhookEndpoint,
        rewritten: &WebhookEndpoint,
    ) -> Result<bool> {
        let Some(record) = self.storage.endpoint_record(&stored.id).await? else {
            return Ok(false);
        };
        let mut opened = KeptEndpoint::clone(&record.endpoint);
        self.keys.open(&mut opened)?;
        if !opened.has_credentials_of(stored) {
            return Ok(false);
        }
        let rewritten = self.keys.seal(rewritten)?;
        self.storage.rewrite_credentials(&record.endpoint, &rewritten).await
    }

    async fn endpoint_record(&self, id: &str) -> Result<Option<EndpointRecord>> {
        let mut record = self.storage.endpoint_record(id).await?;
        record.iter_mut().for_each(|record| self.open(record));
        Ok(record)
    }

    async fn endpoints_since(&self, revision: u64, limit: usize) -> Result<EndpointChanges> {
        let mut changes = self.storage.endpoints_since(revision, limit).await?;
        changes.records.iter_mut().for_each(|record| self.open(record));
        Ok(changes)
    }
} }
