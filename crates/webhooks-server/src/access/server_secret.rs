//! What this server signs with: what it gives out stands for itself, and is kept nowhere.
//!
//! # Where it comes from
//! The host gives one or more secrets, or none. With none, the first server that needs one makes 32
//! random bytes and puts them as a document, with the condition that there is none. A server that loses
//! this race reads what the winner wrote, so all servers of a storage sign alike. The secret is read
//! once for the life of a process.
//!
//! # Purposes
//! No secret signs a text directly. Each purpose has a key of its own, HMAC-SHA256 of the purpose's name
//! under the secret. A signature that was made for one purpose therefore never verifies for another,
//! even where both sign the same text.
//!
//! # Rotation
//! The first secret that the host gives signs; every one verifies. To rotate, the host first adds the
//! new secret behind the old one on every server, then puts it first, then drops the old one once the
//! last token that it signed has ended. No token is refused at any step.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use better_auth_webhooks::storage::Expected;
use tokio::sync::OnceCell;
use webhooks_core::{Result, SigningKey, WebhookError, random_bytes};

use crate::documents::Documents;
use crate::problem::Problem;

/// Bytes of a secret.
const LENGTH: usize = 32;
/// The document in which one is kept that was made here.
const ID: &str = "current";

/// The secret of the servers of one storage: given by the host, or made once and kept as a document.
pub(crate) struct ServerSecret {
    documents: Documents,
    /// The keys that were given, the first of which signs, or the one that was read.
    keys: OnceCell<Vec<SigningKey>>,
}

impl ServerSecret {
    /// The secrets that the host gives, Base64 of 32 bytes or more each: the first signs, each verifies.
    /// With none, one is made when it is needed.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` for what is no Base64 or has less than 32 bytes. The text of the secret is not in it.
    pub(crate) fn new(given: &[String], documents: Documents) -> Result<Self> {
        let keys = given.iter().map(|text| key(text));
        let keys: Vec<_> = keys.collect::<Result<_>>()?;
        let keys = match keys.is_empty() {
            true => OnceCell::new(),
            false => OnceCell::new_with(Some(keys)),
        };
        Ok(Self { documents, keys })
    }

    /// HMAC-SHA256 of a text for this purpose.
    pub(crate) async fn sign(&self, purpose: &str, text: &str) -> Result<[u8; 32], Problem> {
        let keys = self.keys().await?;
        let first = keys.first().map(|key| of_purpose(key, purpose));
        let missing = || WebhookError::StorageError("there is no secret of the server".into());
        let key = first.ok_or_else(missing)?;
        Ok(key.sign_parts(&[text.as_bytes()]))
    }

    /// Whether this is that of one of the keys.
    pub(crate) async fn verify(
        &self,
        purpose: &str,
        text: &str,
        mac: &[u8],
    ) -> Result<bool, Problem> {
        // Nothing was ever signed where no secret was given and none can be kept.
        if !self.keys.initialized() && !self.documents.are_kept() {
            return Ok(false);
        }
        let mut keys = self.keys().await?.iter();
        Ok(keys.any(|key| of_purpose(key, purpose).verify_parts(&[text.as_bytes()], mac)))
    }

    /// The keys, which are read or made when they are needed first.
    async fn keys(&self) -> Result<&Vec<SigningKey>, Problem> {
        self.keys.get_or_try_init(|| self.read_or_make()).await
    }

    /// The key that is kept, or a new one if there is none.
    async fn read_or_make(&self) -> Result<Vec<SigningKey>, Problem> {
        let new = URL_SAFE_NO_PAD.encode(random_bytes::<LENGTH>()?);
        // Of two servers that begin at once, the second takes what the first has made.
        let put = self.documents.put(ID, &new, Expected::Absent, None);
        let text = match put.await? {
            Some(_) => new,
            None => {
                let kept = self.documents.get::<String>(ID).await?;
                let gone = || Problem::wrong_state("the secret of the server has changed");
                kept.ok_or_else(gone)?.value
            }
        };
        Ok(vec![key(&text)?])
    }
}

/// The key of one purpose, so that what is signed for one is nothing for another.
fn of_purpose(key: &SigningKey, purpose: &str) -> SigningKey {
    SigningKey::new(&key.sign_parts(&[purpose.as_bytes()]))
}

/// Reads a secret.
fn key(text: &str) -> Result<SigningKey> {
    let standard = text.trim_end_matches('=').replace('+', "-");
    let bytes = URL_SAFE_NO_PAD.decode(standard.replace('/', "_")).ok();
    let bytes = bytes.filter(|bytes| bytes.len() >= LENGTH).ok_or_else(|| {
        let text = format!("server_secret needs Base64 of {LENGTH} bytes or more");
        WebhookError::InvalidConfig(text.into())
    })?;
    Ok(SigningKey::new(&bytes))
}

impl fmt::Debug for ServerSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerSecret(..)")
    }
}
