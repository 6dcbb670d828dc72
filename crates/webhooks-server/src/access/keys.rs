//! API keys, as the storage keeps them.
//!
//! A key that is changed or deleted here is forgotten or replaced in this process at once. Other processes
//! go on with what they remember for 5 seconds at most. The end of a key by time is compared on each
//! request and is not delayed.
//!
//! Two requests that note a use at once race by revision, and the loser drops its note. A change that an
//! administrator makes uses the same revision, so a note never overwrites it.

use std::sync::Arc;
use std::time::Duration;

use better_auth_webhooks::storage::Expected;
use webhooks_core::Timestamp;

use super::api_key::{ApiKey, KeyText, compare_in_vain};
use crate::documents::{Documents, Kept};
use crate::problem::Problem;
use crate::remembered::Remembered;

/// Keys that are remembered at most.
const MOST_KNOWN: usize = 4_096;
/// How exactly the last use of a key is known. Each use that is noted costs a write.
const USE_NOTED: Duration = Duration::from_secs(60);

/// The keys of a system. What is read is remembered for a moment, so that a busy caller does not cost
/// a read of the storage for each request.
#[derive(Debug)]
pub(crate) struct ApiKeys {
    documents: Documents,
    known: Remembered<ApiKey>,
}

impl ApiKeys {
    /// Keys that are kept so.
    pub(crate) fn new(documents: Documents) -> Self {
        Self {
            documents,
            known: Remembered::new(MOST_KNOWN),
        }
    }

    /// Where they are kept.
    pub(crate) const fn documents(&self) -> &Documents {
        &self.documents
    }

    /// The key with this text, if it is taken now.
    ///
    /// An unknown id costs a hash and a comparison as well, so that the time of an answer does not tell which
    /// ids there are.
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

    /// The key with this id, if it has not ended.
    pub(crate) async fn live(
        &self,
        id: &str,
        now: Timestamp,
    ) -> Result<Option<Arc<ApiKey>>, Problem> {
        let key = self.read(id).await?;
        Ok(key.filter(|key| key.is_live(now)))
    }

    /// Whether this key was found of late. It need not be taken any more.
    pub(crate) fn were_given(&self, text: &KeyText, now: Timestamp) -> bool {
        let known = self.known.last(&text.id);
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
    ///
    /// # Errors
    ///
    /// 409 `wrong-state` if it was changed meanwhile. What is remembered of the key is then forgotten, so
    /// that the next request reads what the other one wrote.
    pub(crate) async fn change(&self, kept: &Kept<ApiKey>) -> Result<(), Problem> {
        let expected = Expected::Revision(kept.revision);
        let put = self.documents.put(&kept.id, &kept.value, expected, None);
        let changed = put.await?;
        match changed {
            Some(_) => self
                .known
                .remember(&kept.id, Some(Arc::new(kept.value.clone()))),
            None => self.known.forget(&kept.id),
        }
        let conflict = || Problem::wrong_state("the key was changed meanwhile; try again");
        changed.map(drop).ok_or_else(conflict)
    }

    /// Whether there was such a key.
    pub(crate) async fn delete(&self, id: &str) -> Result<bool, Problem> {
        let deleted = self.documents.delete(id).await?;
        self.known.forget(id);
        Ok(deleted)
    }

    /// The key with this id, as it was a moment ago at most.
    async fn read(&self, id: &str) -> Result<Option<Arc<ApiKey>>, Problem> {
        if let Some(known) = self.known.known(id) {
            return Ok(known);
        }
        let key = self.documents.get::<ApiKey>(id).await?;
        let key = key.map(|kept| Arc::new(kept.value));
        self.known.remember(id, key.clone());
        Ok(key)
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
}
