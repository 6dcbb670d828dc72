//! API keys, as the storage keeps them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use better_auth_webhooks::storage::Expected;
use tokio::time::Instant;
use webhooks_core::Timestamp;

use super::api_key::{ApiKey, KeyText, compare_in_vain};
use crate::documents::{Documents, Kept};
use crate::problem::Problem;

/// How long a key is taken for what it was: another node sees that it was revoked this much later.
const KNOWN_FOR: Duration = Duration::from_secs(5);
/// Keys that are remembered at most. With more in use each is read more often.
const MOST_KNOWN: usize = 4_096;
/// How exactly the last use of a key is known. Each use that is noted costs a write.
const USE_NOTED: Duration = Duration::from_secs(60);

/// The keys of a system. What is read is remembered for a moment, so that a busy caller does not cost
/// a read of the storage for each request.
#[derive(Debug)]
pub(crate) struct ApiKeys {
    documents: Documents,
    known: Mutex<HashMap<String, Known>>,
}

/// What was read of an id.
#[derive(Clone, Debug)]
struct Known {
    /// None if there was no such key.
    key: Option<Arc<ApiKey>>,
    /// Until when that counts.
    until: Instant,
}

impl ApiKeys {
    /// Keys that are kept so.
    pub(crate) fn new(documents: Documents) -> Self {
        Self {
            documents,
            known: Mutex::default(),
        }
    }

    /// Where they are kept.
    pub(crate) const fn documents(&self) -> &Documents {
        &self.documents
    }

    /// The key with this text, if it is taken now.
    pub(crate) async fn find(&self, text: &KeyText) -> Result<Option<Arc<ApiKey>>, Problem> {
        if !self.documents.are_kept() {
            return Ok(None);
        }
        let now = self.documents.now()?;
        let Some(key) = self.read(&text.id).await? else {
            compare_in_vain(text);
            return Ok(None);
        };
        if !key.is(text, now) {
            return Ok(None);
        }
        self.note_use(&text.id, &key, now).await;
        Ok(Some(key))
    }

    /// Whether this key was found of late. It need not be taken any more.
    pub(crate) fn were_given(&self, text: &KeyText, now: Timestamp) -> bool {
        let known = self
            .lock()
            .get(&text.id)
            .and_then(|known| known.key.clone());
        known.is_some_and(|key| key.is(text, now))
    }

    /// Makes a key that is not there yet.
    pub(crate) async fn add(&self, id: &str, key: &ApiKey) -> Result<(), Problem> {
        let put = self.documents.put(id, key, Expected::Absent, None);
        match put.await? {
            Some(_) => Ok(()),
            None => Err(Problem::wrong_state(
                "two keys were given one id; try again",
            )),
        }
    }

    /// Keeps what became of a key, if nobody has changed it meanwhile.
    pub(crate) async fn change(&self, kept: &Kept<ApiKey>) -> Result<(), Problem> {
        let expected = Expected::Revision(kept.revision);
        let put = self.documents.put(&kept.id, &kept.value, expected, None);
        let changed = put.await?;
        match changed {
            Some(_) => self.remember(&kept.id, Some(Arc::new(kept.value.clone()))),
            None => self.forget(&kept.id),
        }
        let conflict = || Problem::wrong_state("the key was changed meanwhile; try again");
        changed.map(drop).ok_or_else(conflict)
    }

    /// Whether there was such a key.
    pub(crate) async fn delete(&self, id: &str) -> Result<bool, Problem> {
        let deleted = self.documents.delete(id).await?;
        self.forget(id);
        Ok(deleted)
    }

    /// The key with this id, as it was a moment ago at most.
    async fn read(&self, id: &str) -> Result<Option<Arc<ApiKey>>, Problem> {
        if let Some(known) = self.known(id) {
            return Ok(known.key);
        }
        let key = self.documents.get::<ApiKey>(id).await?;
        let key = key.map(|kept| Arc::new(kept.value));
        self.remember(id, key.clone());
        Ok(key)
    }

    /// Takes note of what is kept under an id.
    fn remember(&self, id: &str, key: Option<Arc<ApiKey>>) {
        let mut known = self.lock();
        if known.len() >= MOST_KNOWN {
            let now = Instant::now();
            known.retain(|_, known| known.until > now);
            // Guesses at ids fill it, too: none of them may hold a place for longer than a moment.
            if known.len() >= MOST_KNOWN {
                known.clear();
            }
        }
        let until = Instant::now() + KNOWN_FOR;
        known.insert(id.to_owned(), Known { key, until });
    }

    /// What was read of an id lately.
    fn known(&self, id: &str) -> Option<Known> {
        let known = self.lock().get(id).cloned();
        known.filter(|known| known.until > Instant::now())
    }

    /// The next request reads it anew.
    fn forget(&self, id: &str) {
        self.lock().remove(id);
    }

    /// Notes that the key was used. If that fails, the next use notes it.
    async fn note_use(&self, id: &str, key: &ApiKey, now: Timestamp) {
        let is_noted = |at: Timestamp| now.since(at) < USE_NOTED;
        if key.last_used_at.is_some_and(is_noted) {
            return;
        }
        let Ok(Some(mut kept)) = self.documents.get::<ApiKey>(id).await else {
            return;
        };
        kept.value.last_used_at = Some(now);
        if let Err(error) = self.change(&kept).await {
            tracing::debug!(
                key_id = id,
                error = error.detail(),
                "the use of a key is not noted"
            );
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Known>> {
        // What it holds is right at any moment, whoever panicked beside it.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
