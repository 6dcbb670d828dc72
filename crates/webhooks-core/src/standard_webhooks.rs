//! Signatures of the Standard Webhooks specification, version 1.
//!
//! HMAC-SHA256 over `{id}.{timestamp}.{body}`, in Base64 after `v1,`; the key is what a
//! `whsec_<base64>` secret decodes to. Source: the Standard Webhooks specification,
//! "Signature scheme".

use std::ops::RangeInclusive;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::{PRIVATE_KEY_PREFIX, Result, SigningKey, WebhookError};

/// The header with the event's id.
pub const STANDARD_ID_HEADER: &str = "webhook-id";
/// The header with the time of the attempt, in Unix seconds.
pub const STANDARD_TIMESTAMP_HEADER: &str = "webhook-timestamp";
/// The header with the signatures.
pub const STANDARD_SIGNATURE_HEADER: &str = "webhook-signature";

/// The start of a secret's text.
const SECRET_PREFIX: &str = "whsec_";
/// The bytes of key that the specification asks for.
///
/// What is longer than a block of SHA-256, which has 64 bytes, HMAC hashes first (RFC 2104 section
/// 2).
const KEY_BYTES: RangeInclusive<usize> = 24..=64;

/// A Standard Webhooks secret made ready for signing and verifying.
#[derive(Clone, Debug)]
pub struct StandardKey(SigningKey);

impl StandardKey {
    /// Decodes a secret to sign with; its `whsec_` may be left out.
    ///
    /// # Errors
    ///
    /// [`WebhookError::InvalidConfig`] when it is not Base64 of 24 to 64 bytes.
    pub fn new(secret: &str) -> Result<Self> {
        Self::decode_secret(secret, KEY_BYTES)
    }

    /// Decodes a secret that a sender chose, of any length but none: shorter keys than the
    /// specification asks for are in use, in its implementers' own examples too.
    ///
    /// # Errors
    ///
    /// [`WebhookError::InvalidConfig`] when it is not Base64 of at least one byte.
    pub fn for_verifying(secret: &str) -> Result<Self> {
        Self::decode_secret(secret, 1..=usize::MAX)
    }

    fn decode_secret(secret: &str, bytes: RangeInclusive<usize>) -> Result<Self> {
        let text = secret.strip_prefix(SECRET_PREFIX).unwrap_or(secret);
        // Wiped when it goes, as the key behind it is.
        let key = zeroize::Zeroizing::new(STANDARD.decode(text).map_err(|_| {
            // The cause would show a byte of the secret.
            WebhookError::InvalidConfig(
                "a standard webhooks secret is whsec_ and the base64 of its key".into(),
            )
        })?);
        if !bytes.contains(&key.len()) {
            return Err(WebhookError::InvalidConfig(
                format!(
                    "a standard webhooks secret holds {} bytes of key, it needs at least {}{}",
                    key.len(),
                    bytes.start(),
                    match bytes.end() {
                        &usize::MAX => String::new(),
                        most => format!(" and at most {most}"),
                    }
                )
                .into(),
            ));
        }
        Ok(Self(SigningKey::new(&key)))
    }

    /// The signature as it stands in [`STANDARD_SIGNATURE_HEADER`]: `v1,<base64>`.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        format!("v1,{}", STANDARD.encode(self.mac(id, timestamp, body)))
    }

    /// The MAC of this message.
    #[must_use]
    pub fn mac(&self, id: &str, timestamp: i64, body: &[u8]) -> [u8; 32] {
        let timestamp = timestamp.to_string();
        let parts = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body];
        self.0.sign_parts(&parts)
    }

    /// Whether `mac` signs this message, compared in constant time.
    #[must_use]
    pub fn verify(&self, id: &str, timestamp: i64, body: &[u8], mac: &[u8]) -> bool {
        let timestamp = timestamp.to_string();
        let parts = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body];
        self.0.verify_parts(&parts, mac)
    }

    /// The bytes of one item of [`STANDARD_SIGNATURE_HEADER`], if it is a well-formed `v1`.
    #[must_use]
    pub fn decode(item: &str) -> Option<Vec<u8>> {
        let mac = STANDARD.decode(item.strip_prefix("v1,")?).ok()?;
        // The length of HMAC-SHA256; nothing of another length can be right.
        (mac.len() == 32).then_some(mac)
    }
}

/// What signs in this scheme for one secret of an endpoint.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum StandardSigner {
    /// A shared secret, `whsec_...`, which makes `v1` signatures.
    Shared(StandardKey),
    /// A private key, `whsk_...`, which makes `v1a` signatures.
    #[cfg(feature = "ed25519")]
    KeyPair(crate::Ed25519Key),
}

impl StandardSigner {
    /// Reads a secret: a private key if it starts with [`PRIVATE_KEY_PREFIX`], else a shared one.
    ///
    /// # Errors
    ///
    /// [`WebhookError::InvalidConfig`] when it is neither, and for a private key without the
    /// feature `ed25519`.
    pub fn new(secret: &str) -> Result<Self> {
        if !secret.starts_with(PRIVATE_KEY_PREFIX) {
            return StandardKey::new(secret).map(Self::Shared);
        }
        #[cfg(feature = "ed25519")]
        return crate::Ed25519Key::new(secret).map(Self::KeyPair);
        #[cfg(not(feature = "ed25519"))]
        Err(WebhookError::InvalidConfig(
            "a secret that starts with whsk_ needs the feature ed25519".into(),
        ))
    }

    /// The signature as it stands in [`STANDARD_SIGNATURE_HEADER`].
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        match self {
            Self::Shared(key) => key.sign(id, timestamp, body),
            #[cfg(feature = "ed25519")]
            Self::KeyPair(key) => key.sign(id, timestamp, body),
        }
    }
}

/// A new secret for either scheme: `whsec_` and the Base64 of `key`, which the caller takes from a
/// cryptographic random source; 32 bytes are usual.
#[must_use]
pub fn standard_secret(key: &[u8]) -> String {
    format!("{SECRET_PREFIX}{}", STANDARD.encode(key))
}

/// A new secret for either scheme, `whsec_` and the Base64 of 32 bytes of the operating system's
/// random source.
///
/// # Errors
///
/// [`WebhookError::RandomSource`] when it gives none.
#[cfg(feature = "random")]
pub fn generate_secret() -> Result<String> {
    let key = zeroize::Zeroizing::new(crate::random_bytes::<32>()?);
    Ok(standard_secret(key.as_slice()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_as_the_reference_library_does() {
        let key = StandardKey::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let body = br#"{"test": 2432232314}"#;
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        let signature = key.sign(id, 1_614_265_330, body);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        let mac = StandardKey::decode(&signature).unwrap();
        assert!(key.verify(id, 1_614_265_330, body, &mac));
        assert!(!key.verify(id, 1_614_265_331, body, &mac));
    }

    #[test]
    fn a_secret_that_is_no_key_is_refused_without_showing_it() {
        for bad in ["whsec_!!hunter2", "whsec_AAAA", ""] {
            let error = StandardKey::new(bad).unwrap_err().to_string();
            assert!(!error.contains("hunter2"));
        }
    }

    #[test]
    fn a_short_key_verifies_but_is_not_taken_to_sign_with() {
        let secret = "whsec_plJ3nmyCDGBKInavdOK15jsl";
        assert!(StandardKey::new(secret).is_err());
        let signature = "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=";
        let mac = StandardKey::decode(signature).unwrap();
        let body = br#"{"event_type":"ping","data":{"success":true}}"#;
        let key = StandardKey::for_verifying(secret).unwrap();
        assert!(key.verify("msg_loFOjxBNrRLzqYUf", 1_731_705_121, body, &mac));
        let error = StandardKey::for_verifying("whsec_").unwrap_err();
        assert!(error.to_string().ends_with("needs at least 1"), "{error}");
    }
}
