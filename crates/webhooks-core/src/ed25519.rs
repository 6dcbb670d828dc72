//! Signatures with key pairs: `v1a` of Standard Webhooks.
//!
//! Ed25519 (RFC 8032) over `{id}.{timestamp}.{body}`, in Base64 after `v1a,`. Private keys are
//! `whsk_<base64>`, public ones `whpk_<base64>`. Source: the Standard Webhooks specification,
//! "Signature scheme".

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use zeroize::Zeroizing;

use crate::{PRIVATE_KEY_PREFIX, Result, WebhookError, random_bytes};

/// The start of a public key's text.
///
/// Set apart from secrets, so that the one that may be shown is known by its text.
pub const PUBLIC_KEY_PREFIX: &str = "whpk_";
/// The bytes of a key.
const KEY: usize = 32;
/// The bytes of a signature.
const SIGNATURE: usize = 64;

/// The private key of an endpoint: `whsk_` and the Base64 of its 32 bytes. As the secret of an
/// endpoint whose signature is [`Standard`](crate::SignatureScheme::Standard), it signs `v1a`.
///
/// Wiped when it is dropped. The state of a signature lives only while it is made, so that nothing
/// else of the key stays; that costs as much again as the signature.
#[derive(Clone)]
pub struct Ed25519Key {
    seed: Zeroizing<[u8; KEY]>,
    public: Ed25519PublicKey,
}

impl Ed25519Key {
    /// A new key of the operating system's random source.
    ///
    /// # Errors
    ///
    /// [`WebhookError::RandomSource`] when it gives none.
    pub fn generate() -> Result<Self> {
        Ok(Self::of_seed(Zeroizing::new(random_bytes()?)))
    }

    /// Reads `whsk_` and the Base64 of a key: its 32 bytes, or these and the 32 of its public key,
    /// as some libraries write it.
    ///
    /// # Errors
    ///
    /// [`WebhookError::InvalidConfig`] for every other text; the text is not in it.
    pub fn new(text: &str) -> Result<Self> {
        let refuse = |problem: &str| Err(WebhookError::InvalidConfig(problem.into()));
        let decoded = text.strip_prefix(PRIVATE_KEY_PREFIX).map(decode);
        let Some(Some(bytes)) = decoded else {
            return refuse("a private ed25519 key is whsk_ and the base64 of its bytes");
        };
        let Some((seed, public)) = bytes.split_first_chunk::<KEY>() else {
            return refuse("a private ed25519 key has 32 bytes, or 64 with its public key");
        };
        let key = Self::of_seed(Zeroizing::new(*seed));
        match public {
            // A key whose two halves do not fit would sign what nobody can verify.
            [] => Ok(key),
            public if public == key.public.0 => Ok(key),
            _ => refuse("a private ed25519 key is followed by what is not its public key"),
        }
    }

    /// The key as text, `whsk_...`: what to store as an endpoint's secret.
    #[must_use]
    pub fn secret(&self) -> String {
        format!("{PRIVATE_KEY_PREFIX}{}", STANDARD.encode(*self.seed))
    }

    /// The public key: what the consumer is given.
    #[must_use]
    pub const fn public_key(&self) -> Ed25519PublicKey {
        self.public
    }

    /// The signature as it stands in the header: `v1a,<base64>`.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        // RFC 8032 signs without random bytes: the same message has the same signature on every
        // node.
        let signature = pair(&self.seed).sign(&signed_content(id, timestamp, body));
        format!("v1a,{}", STANDARD.encode(signature))
    }

    fn of_seed(seed: Zeroizing<[u8; KEY]>) -> Self {
        let mut public = [0; KEY];
        public.copy_from_slice(pair(&seed).public_key().as_ref());
        let public = Ed25519PublicKey(public);
        Self { seed, public }
    }
}

/// The bytes that are signed, as Standard Webhooks joins them.
fn signed_content(id: &str, timestamp: i64, body: &[u8]) -> Vec<u8> {
    let timestamp = timestamp.to_string();
    [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat()
}

#[expect(
    clippy::expect_used,
    reason = "every 32 bytes are a seed (RFC 8032 section 5.1.5)"
)]
fn pair(seed: &[u8; KEY]) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(seed).expect("32 bytes are a seed")
}

fn decode(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    STANDARD.decode(text).ok().map(Zeroizing::new)
}

impl fmt::Debug for Ed25519Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ed25519Key")
            .field("public_key", &self.public)
            .finish_non_exhaustive()
    }
}

/// The public key of an endpoint: `whpk_` and the Base64 of its 32 bytes. It verifies and cannot
/// sign, so it is no secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Ed25519PublicKey([u8; KEY]);

impl Ed25519PublicKey {
    /// Reads `whpk_` and the Base64 of 32 bytes.
    ///
    /// # Errors
    ///
    /// [`WebhookError::InvalidConfig`] for every other text.
    pub fn new(text: &str) -> Result<Self> {
        let bytes = text
            .strip_prefix(PUBLIC_KEY_PREFIX)
            .and_then(|text| STANDARD.decode(text).ok());
        let key = bytes.and_then(|bytes| bytes.try_into().ok());
        key.map(Self).ok_or_else(|| {
            let text = "a public ed25519 key is whpk_ and the base64 of its 32 bytes";
            WebhookError::InvalidConfig(text.into())
        })
    }

    /// Whether the signature was made of this message with the private key.
    #[must_use]
    pub fn verify(&self, id: &str, timestamp: i64, body: &[u8], signature: &[u8; 64]) -> bool {
        let key = UnparsedPublicKey::new(&ED25519, self.0);
        key.verify(&signed_content(id, timestamp, body), signature)
            .is_ok()
    }

    /// The bytes of one item of the header with the signatures, if it is a well-formed `v1a`.
    #[must_use]
    pub fn decode(item: &str) -> Option<[u8; SIGNATURE]> {
        let bytes = STANDARD.decode(item.strip_prefix("v1a,")?).ok()?;
        bytes.try_into().ok()
    }
}

impl fmt::Display for Ed25519PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PUBLIC_KEY_PREFIX}{}", STANDARD.encode(self.0))
    }
}

impl fmt::Debug for Ed25519PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ed25519PublicKey({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StandardSigner;

    // The key of RFC 8032 section 7.1, test 1; the signature was made with another library.
    const PRIVATE: &str = "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";
    const BOTH: &str = "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2DXWpgBgrEKt9VL/tPJZAc6DuFy89q\
                        mIyWvAhpo9wdRGg==";
    const PUBLIC: &str = "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    const SIGNATURE: &str = "v1a,fldxM4gAKugP6nnt1hdz3sgGfZ6d99nzrMFnZOELIxbzEHoVmAb2ADpkJK7zgPePmPs\
                             le0zV9jSeGlHFG2NVAw==";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const AT: i64 = 1_614_265_330;
    const BODY: &[u8] = br#"{"test": 2432232314}"#;

    #[test]
    fn signs_the_known_answer_and_verifies_it_alone() {
        let key = Ed25519Key::new(PRIVATE).unwrap();
        assert_eq!(key.sign(ID, AT, BODY), SIGNATURE);
        assert_eq!(
            StandardSigner::new(PRIVATE).unwrap().sign(ID, AT, BODY),
            SIGNATURE
        );
        assert_eq!(
            (key.public_key().to_string(), key.secret()),
            (PUBLIC.into(), PRIVATE.into())
        );
        let public = Ed25519PublicKey::new(PUBLIC).unwrap();
        let mut signature = Ed25519PublicKey::decode(SIGNATURE).unwrap();
        assert!(public.verify(ID, AT, BODY, &signature));
        assert!(!public.verify("msg_2", AT, BODY, &signature));
        assert!(!public.verify(ID, AT + 1, BODY, &signature));
        assert!(!public.verify(ID, AT, b"{}", &signature));
        signature[0] ^= 1;
        assert!(!public.verify(ID, AT, BODY, &signature));
    }

    #[test]
    fn a_new_key_is_read_back_and_is_never_the_same() {
        let (key, other) = (
            Ed25519Key::generate().unwrap(),
            Ed25519Key::generate().unwrap(),
        );
        let again = Ed25519Key::new(&key.secret()).unwrap();
        assert_eq!(again.public_key(), key.public_key());
        assert_ne!(other.public_key(), key.public_key());
        let public = Ed25519PublicKey::new(&key.public_key().to_string()).unwrap();
        let signature = Ed25519PublicKey::decode(&key.sign("a", 1, b"")).unwrap();
        assert!(public.verify("a", 1, b"", &signature));
        assert!(!other.public_key().verify("a", 1, b"", &signature));
    }

    #[test]
    fn the_longer_form_must_end_with_its_own_public_key() {
        assert_eq!(
            Ed25519Key::new(BOTH).unwrap().public_key().to_string(),
            PUBLIC
        );
        let wrong = BOTH.replace("DXWpg", "DXWph");
        assert!(wrong != BOTH && Ed25519Key::new(&wrong).is_err());
    }

    #[test]
    fn other_texts_are_refused_without_showing_them() {
        for bad in ["", "whsk_", "whsk_hunter2!", "whsk_AAAA", PUBLIC, "hunter2"] {
            let error = Ed25519Key::new(bad).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
        for bad in ["", "whpk_", "whpk_AAAA", PRIVATE, "v1a,AAAA"] {
            assert!(Ed25519PublicKey::new(bad).is_err(), "{bad}");
            assert_eq!(Ed25519PublicKey::decode(bad), None);
        }
        let key = Ed25519Key::new(PRIVATE).unwrap();
        assert!(!format!("{key:?}").contains(&PRIVATE[5..]));
    }
}
