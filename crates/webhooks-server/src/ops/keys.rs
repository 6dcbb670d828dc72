//! API keys.
//!
//! Two rules hold at each change. Nobody gives a key a scope that they lack, so a key with `keys:admin`
//! alone cannot make itself an administrator. The audit entry is written first, so no key is made that
//! nobody noted.

use std::time::Duration;

use webhooks_core::Timestamp;

use super::audit::Action;
use super::operations::Ops;
use crate::access::{ApiKey, Caller, KeyTerms, KeyText, Scope, Scopes};
use crate::documents::Kept;
use crate::problem::Problem;

/// The longest name of a key, in bytes.
const MAX_NAME: usize = 256;
/// Networks of one key at most.
const MAX_CIDRS: usize = 32;
/// The longest time for which a rotated key is still taken.
const MAX_OVERLAP: Duration = Duration::from_secs(7 * 86_400);

/// A key that was just made: shown once.
#[derive(Debug)]
pub(crate) struct ShownKey {
    pub(crate) id: String,
    pub(crate) text: String,
}

/// What changes of a key; what is `None` stays.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyChange {
    pub(crate) name: Option<String>,
    pub(crate) scopes: Option<Scopes>,
    pub(crate) expires_at: Option<Option<Timestamp>>,
}

impl Ops {
    /// Makes a key, which has no scope that the caller lacks.
    ///
    /// # Errors
    ///
    /// 403 `scope-missing` without `keys:admin`; 422 `invalid-key` for a name, more than 32 networks, or a
    /// scope that the caller lacks; 409 `wrong-state` if the random id is taken.
    pub(crate) async fn create_key(
        &self,
        caller: &Caller,
        mut terms: KeyTerms,
    ) -> Result<ShownKey, Problem> {
        caller.needs(Scope::KeysAdmin)?;
        check_name(&terms.name)?;
        if terms.allowed_cidrs.len() > MAX_CIDRS {
            let text = format!(
                "allowed_cidrs has {} networks, it needs 0 to {MAX_CIDRS}",
                terms.allowed_cidrs.len()
            );
            return Err(Problem::invalid("invalid-key", text).at("/allowed_cidrs"));
        }
        terms.scopes = granted(caller, terms.scopes, terms.tenant.is_some())?;
        let text = KeyText::generate()?;
        let key = ApiKey::new(&text, terms, caller.actor.clone(), self.now()?);
        self.note(caller, Action::KeyCreate, &text.id, Vec::new())
            .await?;
        self.keys.add(&text.id, &key).await?;
        Ok(ShownKey {
            text: text.expose(),
            id: text.id,
        })
    }

    /// Keys by id, behind the id `after`.
    pub(crate) async fn keys(
        &self,
        caller: &Caller,
        after: Option<String>,
        limit: usize,
    ) -> Result<Vec<Kept<ApiKey>>, Problem> {
        caller.needs(Scope::KeysAdmin)?;
        self.keys.documents().list(after, false, limit).await
    }

    /// One key, without its text, which nobody has but its owner.
    ///
    /// # Errors
    ///
    /// 403 `scope-missing` without `keys:admin`; 404 `not-found`.
    pub(crate) async fn key(&self, caller: &Caller, id: &str) -> Result<Kept<ApiKey>, Problem> {
        caller.needs(Scope::KeysAdmin)?;
        let found = self.keys.documents().get(id).await?;
        found.ok_or_else(|| Problem::not_found(format!("there is no key {id:?}")))
    }

    /// Changes a key, if nobody else does meanwhile; it as it is then.
    ///
    /// # Errors
    ///
    /// As [`key`](Self::key); 422 `invalid-key` for a name or for a scope that the caller lacks; 409
    /// `wrong-state` if the key was changed between the read and the write. A note of its use is such a
    /// change, too.
    pub(crate) async fn change_key(
        &self,
        caller: &Caller,
        id: &str,
        change: KeyChange,
    ) -> Result<Kept<ApiKey>, Problem> {
        let mut kept = self.key(caller, id).await?;
        let mut fields = Vec::new();
        if let Some(name) = change.name {
            check_name(&name)?;
            kept.value.name = name;
            fields.push("name".to_owned());
        }
        if let Some(scopes) = change.scopes {
            kept.value.scopes = granted(caller, scopes, kept.value.tenant.is_some())?;
            fields.push("scopes".to_owned());
        }
        if let Some(expires_at) = change.expires_at {
            kept.value.expires_at = expires_at;
            fields.push("expires_at".to_owned());
        }
        self.note(caller, Action::KeyChange, id, fields).await?;
        self.keys.change(&kept).await?;
        Ok(kept)
    }

    /// Gives a key another secret; the one of before is taken for so long, too.
    ///
    /// A second rotation within the overlap ends the secret of before the first: two are taken at most.
    ///
    /// # Errors
    ///
    /// As [`key`](Self::key); 422 `invalid-key` for an overlap of more than seven days; 409 `wrong-state` if
    /// the key was changed meanwhile.
    pub(crate) async fn rotate_key(
        &self,
        caller: &Caller,
        id: &str,
        overlap: Duration,
    ) -> Result<ShownKey, Problem> {
        let mut kept = self.key(caller, id).await?;
        if overlap > MAX_OVERLAP {
            let text = format!(
                "overlap_seconds is {}, it needs 0 to {}",
                overlap.as_secs(),
                MAX_OVERLAP.as_secs()
            );
            return Err(Problem::invalid("invalid-key", text).at("/overlap_seconds"));
        }
        let text = KeyText::generate()?.with_id(id);
        kept.value.rotate(&text, self.now()?.after(overlap));
        self.note(caller, Action::KeyRotate, id, Vec::new()).await?;
        self.keys.change(&kept).await?;
        Ok(ShownKey {
            text: text.expose(),
            id: text.id,
        })
    }

    /// Ends a key. Other processes take it until they read it again.
    ///
    /// # Errors
    ///
    /// As [`key`](Self::key).
    pub(crate) async fn delete_key(&self, caller: &Caller, id: &str) -> Result<(), Problem> {
        self.key(caller, id).await?;
        self.note(caller, Action::KeyDelete, id, Vec::new()).await?;
        self.keys.delete(id).await.map(drop)
    }
}

/// Refuses a name that people cannot read.
fn check_name(name: &str) -> Result<(), Problem> {
    if (1..=MAX_NAME).contains(&name.len()) && !name.chars().any(char::is_control) {
        return Ok(());
    }
    let text = format!("name needs 1 to {MAX_NAME} bytes without control characters");
    Err(Problem::invalid("invalid-key", text).at("/name"))
}

/// The scopes of a key that this caller makes: nobody gives away what they do not have, and a
/// tenant's key has what a tenant can have.
fn granted(caller: &Caller, scopes: Scopes, of_tenant: bool) -> Result<Scopes, Problem> {
    let can_have = match of_tenant {
        true => caller.scopes.and(Scopes::of_tenants()),
        false => caller.scopes,
    };
    if scopes.are_among(can_have) {
        return Ok(scopes);
    }
    let text = format!("scopes may have at most {can_have:?}");
    Err(Problem::invalid("invalid-key", text).at("/scopes"))
}
