//! Tokens of tenants: short-lived, for a service's own pages.
//!
//! # Format
//! A token is `wht1.<payload>.<mac>`. The payload is JSON in Base64 for URLs, without padding. The mac is
//! HMAC-SHA256 of that Base64 text, not of the JSON: a reader checks the mac before it parses anything
//! that a stranger wrote. A token longer than 4,096 bytes is not looked at.
//!
//! # Scopes
//! A token never has a scope that a tenant cannot have: [`Scopes::of_tenants`] is applied when the token
//! is made, and again when the caller is made from it.
//!
//! # Revocation
//! A token cannot be revoked by itself, since nothing of it is stored. What is stored is one number per
//! tenant, its epoch. A token holds the epoch under which it was made, and is taken only while the
//! tenant has the same. Revocation adds one, which ends all tokens of the tenant at once. Each process
//! remembers an epoch for 5 seconds. The process that revokes forgets it at once; others take a revoked
//! token for 5 seconds at most. A storage that keeps no documents has no epochs: there tokens end by
//! their time alone.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use better_auth_webhooks::storage::Expected;
use serde::{Deserialize, Serialize};
use webhooks_core::{Timestamp, random_bytes};

use super::scope::Scopes;
use super::server_secret::ServerSecret;
use crate::documents::Documents;
use crate::problem::Problem;
use crate::remembered::Remembered;

/// What every token begins with.
const PREFIX: &str = "wht1.";
/// What its signature is for.
const PURPOSE: &str = "token";
/// The longest token, in bytes.
const MAX_TOKEN: usize = 4_096;
/// Tenants that are remembered at most.
const MOST_KNOWN: usize = 4_096;
/// How often a change is tried again that another one came before.
const TRIES: usize = 8;

/// Makes and reads tokens. They stand for themselves; all that is kept is how often those of a tenant
/// were revoked.
#[derive(Debug)]
pub(crate) struct TenantTokens {
    secret: Arc<ServerSecret>,
    /// How often what a tenant was given was revoked, by tenant.
    epochs: Documents,
    known: Remembered<u64>,
}

/// What a token says: `wht1.<this as JSON, Base64>.<HMAC-SHA256, Base64>`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TenantToken {
    /// Tells it from others, for the audit log.
    pub(crate) id: String,
    pub(crate) tenant: Arc<str>,
    pub(crate) scopes: Scopes,
    pub(crate) expires_at: Timestamp,
    /// How often those of the tenant had been revoked when it was made.
    epoch: u64,
}

/// What a text is that was given for a token.
#[derive(Debug)]
pub(crate) enum ReadToken {
    /// A token that is taken now.
    Taken(TenantToken),
    /// One that has expired or was revoked. Whoever has it guesses nothing.
    Ended,
    /// None that was made here.
    Forged,
}

impl TenantTokens {
    /// Tokens that are signed and revoked so.
    pub(crate) fn new(secret: Arc<ServerSecret>, epochs: Documents) -> Self {
        Self {
            secret,
            epochs,
            known: Remembered::new(MOST_KNOWN),
        }
    }

    /// A token for a tenant, and when it ends.
    pub(crate) async fn issue(
        &self,
        tenant: &str,
        scopes: Scopes,
        lasts: Duration,
    ) -> Result<(String, TenantToken), Problem> {
        let token = TenantToken {
            id: URL_SAFE_NO_PAD.encode(random_bytes::<6>()?),
            tenant: tenant.into(),
            scopes: scopes.and(Scopes::of_tenants()),
            expires_at: self.epochs.now()?.after(lasts),
            epoch: self.epoch(tenant).await?,
        };
        let json = serde_json::to_vec(&token).map_err(webhooks_core::WebhookError::from)?;
        let payload = URL_SAFE_NO_PAD.encode(json);
        let mac = self.secret.sign(PURPOSE, &payload).await?;
        let text = format!("{PREFIX}{payload}.{}", URL_SAFE_NO_PAD.encode(mac));
        Ok((text, token))
    }

    /// Whether this text may be a token at all.
    pub(crate) fn is_token(text: &str) -> bool {
        text.starts_with(PREFIX)
    }

    /// What a text says that may be a token.
    pub(crate) async fn read(&self, text: &str) -> Result<ReadToken, Problem> {
        let Some(token) = self.signed(text).await? else {
            return Ok(ReadToken::Forged);
        };
        let is_taken = self.epochs.now()? < token.expires_at
            && self.epoch(&token.tenant).await? == token.epoch;
        Ok(match is_taken {
            true => ReadToken::Taken(token),
            false => ReadToken::Ended,
        })
    }

    /// What a text says that was signed here.
    async fn signed(&self, text: &str) -> Result<Option<TenantToken>, Problem> {
        let short = Some(text).filter(|text| text.len() <= MAX_TOKEN);
        let rest = short.and_then(|text| text.strip_prefix(PREFIX));
        let Some((payload, mac)) = rest.and_then(|rest| rest.split_once('.')) else {
            return Ok(None);
        };
        let mac = URL_SAFE_NO_PAD.decode(mac).unwrap_or_default();
        // Nothing of it is read before it is known to be ours.
        if !self.secret.verify(PURPOSE, payload, &mac).await? {
            return Ok(None);
        }
        let json = URL_SAFE_NO_PAD.decode(payload).unwrap_or_default();
        Ok(serde_json::from_slice(&json).ok())
    }

    /// Ends all tokens of a tenant that there are. Other processes take them for 5 more seconds at
    /// most.
    pub(crate) async fn revoke(&self, tenant: &str) -> Result<(), Problem> {
        for _ in 0..TRIES {
            let kept = self.epochs.get::<u64>(tenant).await?;
            let expected = kept
                .as_ref()
                .map_or(Expected::Absent, |kept| Expected::Revision(kept.revision));
            let next = kept.map_or(0, |kept| kept.value) + 1;
            let put = self.epochs.put(tenant, &next, expected, None).await?;
            self.known.forget(tenant);
            if put.is_some() {
                return Ok(());
            }
        }
        Err(Problem::wrong_state(
            "the tenant is revoked by many at once; try again",
        ))
    }

    /// How often those of the tenant have been revoked, as of a moment ago at most.
    async fn epoch(&self, tenant: &str) -> Result<u64, Problem> {
        if !self.epochs.are_kept() {
            return Ok(0);
        }
        if let Some(known) = self.known.known(tenant) {
            return Ok(known.map_or(0, |epoch| *epoch));
        }
        let epoch = self.epochs.get::<u64>(tenant).await?;
        let epoch = epoch.map_or(0, |kept| kept.value);
        self.known.remember(tenant, Some(Arc::new(epoch)));
        Ok(epoch)
    }
}
