//! Encrypting what is stored with the first key.

use bytes::Bytes;
use serde_json::{Map, Value};
use webhooks_core::{Reencrypted, Result, WebhookEndpoint, WebhookError};

use crate::args::Args;
use crate::redis_storage::RedisStorage;
use crate::script::Script;

/// Endpoints that are read at a time.
const PAGE: usize = 100;
/// How many of the endpoints that changed first show whether the keys are the right ones.
const SAMPLE: usize = 100;
/// How often an endpoint is looked at again that is saved by others all the while.
const TRIES: usize = 10;

impl RedisStorage {
    /// Refuses keys that open none of a few endpoints, so that a wrong key is noticed at once.
    pub(crate) async fn check_keys(&self) -> Result<()> {
        if self.keys.is_empty() {
            tracing::warn!(
                prefix = self.connection.keys.prefix(),
                "secrets of endpoints are stored as they are: no encryption key is given"
            );
        }
        let sample = self.changed_endpoints(0, SAMPLE).await?.records;
        let mut sample = sample.into_iter().filter(|record| !record.deleted);
        let Some(first) = sample.next() else {
            return Ok(());
        };
        match first.unreadable {
            Some(error) if sample.all(|record| record.unreadable.is_some()) => Err(error),
            _ => Ok(()),
        }
    }

    pub(crate) async fn encrypt_anew(&self) -> Result<Reencrypted> {
        if self.keys.is_empty() {
            let text = "there is no encryption key to encrypt with";
            return Err(WebhookError::InvalidConfig(text.into()));
        }
        let mut done = Reencrypted::default();
        // What changes from now on is saved with the keys of who saves it; one look is enough.
        let (last, _) = self.changed_ids(0, 0).await?;
        let mut after = 0;
        while after < last {
            let (_, page) = self.changed_ids(after, PAGE).await?;
            let Some((_, revision)) = page.last() else {
                break;
            };
            after = *revision;
            let ids: Vec<&str> = page.iter().map(|(id, _)| id.as_str()).collect();
            for (id, mut fields) in ids.iter().zip(self.fields(&ids).await?) {
                self.encrypt_one(id, fields.bytes()?, &mut done).await?;
            }
        }
        Ok(done)
    }

    async fn encrypt_one(&self, id: &str, definition: Bytes, done: &mut Reencrypted) -> Result<()> {
        let mut definition = definition;
        for _ in 0..TRIES {
            // A tombstone has none.
            if definition.is_empty() {
                return Ok(());
            }
            let mut endpoint: WebhookEndpoint = serde_json::from_slice(&definition)?;
            if self.keys.is_current(&endpoint) {
                return Ok(());
            }
            if let Err(error) = self.keys.open(&mut endpoint) {
                tracing::error!(%error, "an endpoint cannot be encrypted anew");
                done.unreadable.push(id.into());
                return Ok(());
            }
            let anew = with_credentials(&definition, &*self.keys.seal(&endpoint)?)?;
            let mut args = Args::default();
            args.text(id).bytes(definition).bytes(anew);
            let partition = self.connection.keys.partition_of(id);
            let script = Script::RewriteDefinition;
            let mut reply = self.connection.run(partition, script, "0", &args).await?;
            if reply.flag()? {
                done.endpoints += 1;
                return Ok(());
            }
            // Somebody saved it meanwhile, perhaps with an older key, or deleted it.
            definition = match self.fields(&[id]).await?.first_mut() {
                Some(fields) => fields.bytes()?,
                None => return Ok(()),
            };
        }
        let text = format!("endpoint {id:?} is saved by others all the while");
        Err(WebhookError::transient_storage(
            "cannot encrypt everything that Redis keeps",
            text,
        ))
    }
}

/// The definition with the credentials of `sealed`. Everything else stays to the letter, also what
/// a later version may have put there.
fn with_credentials(definition: &[u8], sealed: &WebhookEndpoint) -> Result<Bytes> {
    let mut fields: Map<String, Value> = serde_json::from_slice(definition)?;
    for (name, value) in [
        ("secret", serde_json::to_value(&sealed.secret)?),
        ("headers", serde_json::to_value(&sealed.headers)?),
        (
            "previous_secrets",
            serde_json::to_value(&sealed.previous_secrets)?,
        ),
    ] {
        fields.insert(name.into(), value);
    }
    Ok(serde_json::to_vec(&fields)?.into())
}
