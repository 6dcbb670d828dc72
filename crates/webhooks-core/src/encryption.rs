//! Credentials of endpoints, encrypted at rest.
//!
//! XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) with a random nonce of 24 bytes, stored as
//! `enc1:<key id>:<base64 of nonce, ciphertext and tag>`. What a value is and whose it is are
//! associated data: moved to another endpoint or another field, it no longer opens.

mod key;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use self::key::{KEY, Key, parts};
use crate::{ENCRYPTED_PREFIX, PreviousSecret, Result, WebhookEndpoint, WebhookError};

/// The longest id of a key, in bytes.
const MAX_KEY_ID: usize = 32;
/// The most keys.
const MAX_KEYS: usize = 16;

/// The keys that encrypt credentials of endpoints where they are stored: secrets and values of
/// headers. The first key encrypts, every key decrypts. Without a key they are stored as they are.
///
/// Keys are wiped from memory when the last clone is dropped, and `Debug` shows their ids alone.
///
/// ```
/// use webhooks_core::EncryptionKeys;
///
/// // `openssl rand -base64 32` makes a key. To change over, put the new one first.
/// let keys: EncryptionKeys = "2026-05:3q2+796tvu/erb7v3q2+796tvu/erb7v3q2+796tvu8=".parse()?;
/// # assert!(!keys.is_empty());
/// # Ok::<(), webhooks_core::WebhookError>(())
/// ```
#[derive(Clone, Default)]
pub struct EncryptionKeys {
    keys: Vec<Arc<Key>>,
}

impl EncryptionKeys {
    /// No key: credentials are stored as they are.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// A key that encrypts and decrypts: its id, which stands beside each encrypted value (1 to 32
    /// characters of `A-Z a-z 0-9 _ - .`), and its 32 random bytes.
    ///
    /// # Errors
    ///
    /// [`WebhookError::InvalidConfig`] for an id or a key out of its bounds.
    pub fn new(id: &str, key: &[u8]) -> Result<Self> {
        Self::none().with_older(id, key)
    }

    /// Adds a key that only decrypts, after those that are there; at most 16 in all.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new), and for an id that is there already.
    pub fn with_older(mut self, id: &str, key: &[u8]) -> Result<Self> {
        let refuse = |text: String| Err(WebhookError::InvalidConfig(text.into()));
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if !(1..=MAX_KEY_ID).contains(&id.len()) || !id.chars().all(is_plain) {
            return refuse(format!(
                "the id of an encryption key has {} bytes, it needs 1 to {MAX_KEY_ID} of A-Z a-z \
                 0-9 _ - .",
                id.len()
            ));
        }
        if self.find(id).is_some() {
            return refuse(format!("there are two encryption keys {id:?}"));
        }
        if self.keys.len() == MAX_KEYS {
            return refuse(format!("there are more than {MAX_KEYS} encryption keys"));
        }
        let Some(key) = Key::new(id, key) else {
            return refuse(format!(
                "encryption key {id:?} has {} bytes, it needs {KEY}",
                key.len()
            ));
        };
        self.keys.push(Arc::new(key));
        Ok(self)
    }

    /// Whether there is no key.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The endpoint as it is to be stored: with its credentials encrypted, if there is a key.
    ///
    /// # Errors
    ///
    /// [`WebhookError::RandomSource`] when there are no random bytes for a nonce.
    pub fn seal<'a>(&self, endpoint: &'a WebhookEndpoint) -> Result<Cow<'a, WebhookEndpoint>> {
        let Some(key) = self.keys.first() else {
            return Ok(Cow::Borrowed(endpoint));
        };
        let seal = |what: &str, text: &str| key.seal(&endpoint.id, what, text);
        let previous = endpoint.previous_secrets.iter().map(|previous| {
            Ok(PreviousSecret {
                secret: seal(PREVIOUS_SECRET, &previous.secret)?,
                expires_at: previous.expires_at,
            })
        });
        let headers = endpoint.headers.iter();
        let headers = headers.map(|(name, value)| Ok((name.clone(), seal(&header(name), value)?)));
        // Field by field, so that a new one is not stored before somebody has thought about it.
        Ok(Cow::Owned(WebhookEndpoint {
            id: endpoint.id.clone(),
            url: endpoint.url.clone(),
            secret: seal(SECRET, &endpoint.secret)?,
            events: endpoint.events.clone(),
            filter: endpoint.filter.clone(),
            enabled: endpoint.enabled,
            rate_limit: endpoint.rate_limit,
            headers: headers.collect::<Result<_>>()?,
            content_type: endpoint.content_type.clone(),
            user_agent: endpoint.user_agent.clone(),
            accepted_statuses: endpoint.accepted_statuses.clone(),
            timeout_seconds: endpoint.timeout_seconds,
            tenant: endpoint.tenant.clone(),
            batch: endpoint.batch,
            signature: endpoint.signature,
            ordering: endpoint.ordering,
            on_dead: endpoint.on_dead,
            description: endpoint.description.clone(),
            metadata: endpoint.metadata.clone(),
            previous_secrets: previous.collect::<Result<_>>()?,
        }))
    }

    /// Decrypts what [`seal`](Self::seal) encrypted. What was stored as it is stays so.
    ///
    /// # Errors
    ///
    /// [`WebhookError::StorageError`] that names the endpoint and the id of the key, when the key
    /// is not there, is another one, or the value was changed or moved. Then all credentials of
    /// `stored` are empty.
    pub fn open(&self, stored: &mut WebhookEndpoint) -> Result<()> {
        let id = std::mem::take(&mut stored.id);
        let opened = each_credential(stored, |what, text| self.open_text(&id, what, text));
        if opened.is_err() {
            stored.wipe();
        }
        stored.id = id;
        opened
    }

    /// Whether everything in an endpoint as it is stored is encrypted with the first key.
    #[must_use]
    pub fn is_current(&self, stored: &WebhookEndpoint) -> bool {
        let Some(key) = self.keys.first() else {
            return true;
        };
        let is_current = |text: &String| parts(text).is_some_and(|(id, _)| id == &*key.id);
        is_current(&stored.secret)
            && stored.headers.values().all(is_current)
            && stored
                .previous_secrets
                .iter()
                .all(|p| is_current(&p.secret))
    }

    fn find(&self, id: &str) -> Option<&Key> {
        self.keys
            .iter()
            .find(|key| &*key.id == id)
            .map(|key| &**key)
    }

    fn open_text(&self, endpoint_id: &str, what: &str, text: &mut String) -> Result<()> {
        if !text.starts_with(ENCRYPTED_PREFIX) {
            return Ok(());
        }
        let refuse = |problem: String| {
            let text = format!("the {what} of endpoint {endpoint_id:?} {problem}");
            Err(WebhookError::StorageError(text.into()))
        };
        let Some((key_id, sealed)) = parts(text) else {
            return refuse("is encrypted, but not as enc1:<key id>:<base64>".into());
        };
        let Some(key) = self.find(key_id) else {
            let key_id: String = key_id.chars().take(MAX_KEY_ID).collect();
            return refuse(format!(
                "is encrypted with key {key_id:?}, which is not among those given"
            ));
        };
        let Some(opened) = key.open(endpoint_id, what, sealed) else {
            return refuse(format!(
                "does not open with key {key_id:?}: the key is another one, or the value was \
                 changed or belongs elsewhere"
            ));
        };
        *text = opened;
        Ok(())
    }
}

const SECRET: &str = "secret";
const PREVIOUS_SECRET: &str = "previous secret";

fn header(name: &str) -> String {
    format!("header {name}")
}

/// Calls `change` with what each credential is and its text.
fn each_credential(
    endpoint: &mut WebhookEndpoint,
    mut change: impl FnMut(&str, &mut String) -> Result<()>,
) -> Result<()> {
    change(SECRET, &mut endpoint.secret)?;
    for previous in &mut endpoint.previous_secrets {
        change(PREVIOUS_SECRET, &mut previous.secret)?;
    }
    for (name, value) in &mut endpoint.headers {
        change(&header(name), value)?;
    }
    Ok(())
}

/// Keys as `<id>:<base64 of 32 bytes>`, with commas between them; the first one encrypts.
impl FromStr for EncryptionKeys {
    type Err = WebhookError;

    fn from_str(text: &str) -> Result<Self> {
        text.split(',').try_fold(Self::none(), |keys, item| {
            let (id, key) = item.trim().split_once(':').ok_or_else(|| {
                let form = "an encryption key is not of the form <id>:<base64 of 32 bytes>";
                WebhookError::InvalidConfig(form.into())
            })?;
            // The cause would show a byte of the key.
            let key = Zeroizing::new(STANDARD.decode(key).map_err(|_| {
                let shown: String = id.chars().take(MAX_KEY_ID).collect();
                WebhookError::InvalidConfig(
                    format!("encryption key {shown:?} is not base64").into(),
                )
            })?);
            keys.with_older(id, &key)
        })
    }
}

impl fmt::Debug for EncryptionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids = self.keys.iter().map(|key| &key.id);
        f.write_str("EncryptionKeys")?;
        f.debug_list().entries(ids).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HIDDEN: [&str; 3] = ["hunter2-current", "hunter2-old", "Bearer hunter2"];

    fn endpoint() -> WebhookEndpoint {
        WebhookEndpoint {
            id: "a".into(),
            url: "https://example.com".into(),
            secret: HIDDEN[0].into(),
            events: vec!["*".into()],
            headers: [("authorization".into(), HIDDEN[2].into())].into(),
            previous_secrets: vec![PreviousSecret {
                secret: HIDDEN[1].into(),
                expires_at: crate::Timestamp::from_secs(1),
            }],
            ..WebhookEndpoint::default()
        }
    }

    fn keys(id: &str, byte: u8) -> EncryptionKeys {
        EncryptionKeys::new(id, &[byte; KEY]).unwrap()
    }

    fn sealed(keys: &EncryptionKeys) -> WebhookEndpoint {
        keys.seal(&endpoint()).unwrap().into_owned()
    }

    #[track_caller]
    fn refusal(keys: &EncryptionKeys, mut stored: WebhookEndpoint) -> String {
        let error = keys.open(&mut stored).unwrap_err();
        assert!(stored.id == "a" || stored.id == "b");
        let all = serde_json::to_string(&stored).unwrap();
        assert!(!all.contains("enc1:") && !all.contains("hunter2"), "{all}");
        error.to_string()
    }

    #[test]
    fn a_sealed_endpoint_shows_no_credential_and_opens_to_what_it_was() {
        let keys = keys("k1", 7);
        let mut stored = sealed(&keys);
        let json = serde_json::to_string(&stored).unwrap();
        assert!(HIDDEN.iter().all(|hidden| !json.contains(hidden)), "{json}");
        assert!(json.contains("authorization") && stored.secret.starts_with("enc1:k1:"));
        assert!(keys.is_current(&stored));
        keys.open(&mut stored).unwrap();
        assert!(stored == endpoint() && !keys.is_current(&stored));
    }

    #[test]
    fn the_same_secret_is_never_stored_as_the_same_text() {
        let keys = keys("k1", 7);
        assert!(sealed(&keys).secret != sealed(&keys).secret);
    }

    #[test]
    fn what_is_moved_or_changed_does_not_open() {
        let keys = keys("k1", 7);
        let to_other = WebhookEndpoint {
            id: "b".into(),
            ..sealed(&keys)
        };
        assert!(refusal(&keys, to_other).contains("secret of endpoint \"b\" does not open with"));
        let mut swapped = sealed(&keys);
        std::mem::swap(&mut swapped.secret, &mut swapped.previous_secrets[0].secret);
        refusal(&keys, swapped);
        let mut renamed = sealed(&keys);
        let value = renamed.headers.remove("authorization").unwrap();
        renamed.headers.insert("x-other".into(), value);
        assert!(refusal(&keys, renamed).contains("header x-other"));
        for wrong in ["enc1:", "enc1:k1", "enc1:k1:", "enc1:k1:AAAA", "enc1:k1:!"] {
            let secret = wrong.into();
            refusal(
                &keys,
                WebhookEndpoint {
                    secret,
                    ..sealed(&keys)
                },
            );
        }
        let mut text = sealed(&keys).secret;
        text.replace_range(20..21, if &text[20..21] == "A" { "B" } else { "A" });
        refusal(
            &keys,
            WebhookEndpoint {
                secret: text,
                ..sealed(&keys)
            },
        );
    }

    #[test]
    fn a_wrong_or_missing_key_is_named() {
        let stored = sealed(&keys("k1", 7));
        let missing = refusal(&keys("k2", 7), stored.clone());
        assert!(
            missing.contains("key \"k1\", which is not among those given"),
            "{missing}"
        );
        assert!(refusal(&EncryptionKeys::none(), stored.clone()).contains("\"k1\""));
        assert!(refusal(&keys("k1", 8), stored).contains("with key \"k1\""));
    }

    #[test]
    fn the_first_key_encrypts_and_all_decrypt() {
        let both = keys("new", 1).with_older("old", &[7; KEY]).unwrap();
        let mut stored = sealed(&keys("old", 7));
        assert!(!both.is_current(&stored));
        both.open(&mut stored).unwrap();
        let mut again = both.seal(&stored).unwrap().into_owned();
        assert!(both.is_current(&again));
        keys("new", 1).open(&mut again).unwrap();
        assert!(again == endpoint());
    }

    #[test]
    fn without_a_key_everything_stays_plain() {
        let none = EncryptionKeys::none();
        assert!(none.is_empty() && sealed(&none) == endpoint() && none.is_current(&endpoint()));
        let mut plain = endpoint();
        keys("k1", 7).open(&mut plain).unwrap();
        assert!(plain == endpoint());
    }

    #[test]
    fn keys_are_read_from_text_and_never_shown() {
        let key = STANDARD.encode([7; KEY]);
        let text = format!("new:{}, old:{key}", STANDARD.encode([1; KEY]));
        let keys: EncryptionKeys = text.parse().unwrap();
        assert_eq!(format!("{keys:?}"), "EncryptionKeys[\"new\", \"old\"]");
        keys.open(&mut sealed(&self::keys("old", 7))).unwrap();
        for (wrong, problem) in [
            ("", "not of the form"),
            (key.as_str(), "not of the form"),
            (":", "the id of an encryption key has 0 bytes"),
            ("a b:AAAA", "has 3 bytes, it needs 1 to 32 of"),
            ("a:hunter2!", "encryption key \"a\" is not base64"),
            ("a:AAAA", "encryption key \"a\" has 3 bytes, it needs 32"),
            (&format!("a:{key},a:{key}"), "two encryption keys \"a\""),
        ] {
            let error = wrong.parse::<EncryptionKeys>().unwrap_err().to_string();
            assert!(
                error.contains(problem) && !error.contains("hunter2"),
                "{error}"
            );
        }
    }

    #[test]
    fn keys_are_wiped_when_they_are_dropped() {
        fn is_wiped<T: zeroize::ZeroizeOnDrop>(_: &T) {}
        is_wiped(&keys("k1", 7).keys[0].cipher);
    }
}
