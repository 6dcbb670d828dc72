//! Encrypting what is stored with the first key.

use tokio_postgres::Row;
use tokio_postgres::types::Json;
use webhooks_core::{Reencrypted, Result, WebhookEndpoint, WebhookError};

use crate::columns::{get, long};
use crate::database::Database;
use crate::endpoints::{GET, endpoint};

/// Endpoints that are read at a time.
const PAGE: usize = 100;
/// How many of the endpoints that changed first show whether the keys are the right ones.
const SAMPLE: usize = 100;
/// How often an endpoint is looked at again that is saved by others all the while.
const TRIES: usize = 10;

const READ: &str = "SELECT id, url, secret, events, enabled, rate_limit_rps, rate_limit_burst, \
    headers, timeout_seconds, tenant, batch, signature, previous_secrets, \
    content_type, user_agent, accepted_statuses \
    FROM @.webhook_endpoints WHERE id > $1 AND deleted_at IS NULL ORDER BY id LIMIT $2";
/// Neither the revision nor `updated_at` moves: the definition is what it was. What somebody saved
/// since it was read is left alone.
const REWRITE: &str = "UPDATE @.webhook_endpoints \
    SET secret = $2, headers = $3, previous_secrets = $4 \
    WHERE id = $1 AND deleted_at IS NULL \
    AND secret = $5 AND headers = $6 AND previous_secrets = $7";

impl Database {
    /// Refuses keys that open none of a few endpoints, so that a wrong key is noticed at once.
    pub(crate) async fn check_keys(&self) -> Result<()> {
        if self.keys.is_empty() {
            tracing::warn!(
                schema = self.schema(),
                "secrets of endpoints are stored as they are: no encryption key is given"
            );
        }
        let sample = self.endpoints_since(0, SAMPLE).await?.records;
        let mut sample = sample.into_iter().filter(|record| !record.deleted);
        let Some(first) = sample.next() else {
            return Ok(());
        };
        match first.unreadable {
            Some(error) if sample.all(|record| record.unreadable.is_some()) => Err(error),
            _ => Ok(()),
        }
    }

    pub(crate) async fn reencrypt(&self) -> Result<Reencrypted> {
        if self.keys.is_empty() {
            let text = "there is no encryption key to encrypt with";
            return Err(WebhookError::InvalidConfig(text.into()));
        }
        let mut done = Reencrypted::default();
        let mut after = String::new();
        loop {
            let rows = self
                .query("read endpoints", READ, &[&after, &long(PAGE)])
                .await?;
            for row in &rows {
                self.reencrypt_one(row, &mut done).await?;
                after = get(row, "id")?;
            }
            if rows.len() < PAGE {
                return Ok(done);
            }
        }
    }

    async fn reencrypt_one(&self, row: &Row, done: &mut Reencrypted) -> Result<()> {
        let mut stored = endpoint(row)?;
        for _ in 0..TRIES {
            if self.keys.is_current(&stored) {
                return Ok(());
            }
            let mut opened = stored.clone();
            if let Err(error) = self.keys.open(&mut opened) {
                tracing::error!(%error, "an endpoint cannot be encrypted anew");
                done.unreadable.push(opened.id);
                return Ok(());
            }
            if self.rewrite(&stored, &opened).await? {
                done.endpoints += 1;
                return Ok(());
            }
            // Somebody saved it meanwhile, perhaps with an older key, or deleted it.
            let again = self.query("read an endpoint", GET, &[&stored.id]).await?;
            let Some(row) = again.first() else {
                return Ok(());
            };
            stored = endpoint(row)?;
        }
        let text = format!("endpoint {:?} is saved by others all the while", stored.id);
        Err(WebhookError::transient_storage(
            "postgres: cannot encrypt everything",
            text,
        ))
    }

    /// `false` if the endpoint is not as it was read any more.
    async fn rewrite(&self, stored: &WebhookEndpoint, opened: &WebhookEndpoint) -> Result<bool> {
        let sealed = self.keys.seal(opened)?;
        let changed = self
            .execute(
                "encrypt an endpoint",
                REWRITE,
                &[
                    &stored.id,
                    &sealed.secret,
                    &Json(&sealed.headers),
                    &Json(&sealed.previous_secrets),
                    &stored.secret,
                    &Json(&stored.headers),
                    &Json(&stored.previous_secrets),
                ],
            )
            .await?;
        Ok(changed > 0)
    }
}
