//! The three headers of Standard Webhooks, version 1.
//!
//! `webhook-id`, `webhook-timestamp` and `webhook-signature: v1,<base64> v1a,<base64> ..`, where `v1`
//! is made with a secret and `v1a` with a key pair. Items of other versions, and of those for which
//! there is no key, are skipped, as the specification asks. Source: the Standard Webhooks
//! specification, "Signature scheme".

use http::{HeaderMap, HeaderName};
use webhooks_core::{
    STANDARD_ID_HEADER, STANDARD_SIGNATURE_HEADER, STANDARD_TIMESTAMP_HEADER, StandardKey,
};

use crate::SignatureError;
use crate::presented::{Key, MAX_HEADER, MAX_ITEMS, Presented, Scheme, single_line, unix_seconds};
use crate::signatures::{Signature, Signatures};

/// The longest id, in bytes.
const MAX_ID: usize = 256;

const ID: HeaderName = HeaderName::from_static(STANDARD_ID_HEADER);
const TIMESTAMP: HeaderName = HeaderName::from_static(STANDARD_TIMESTAMP_HEADER);
const SIGNATURE: HeaderName = HeaderName::from_static(STANDARD_SIGNATURE_HEADER);

/// Whether the request is signed in this scheme at all.
pub(crate) fn are_present(headers: &HeaderMap) -> bool {
    headers.contains_key(SIGNATURE)
}

/// Whether a key can verify a signature in this scheme.
pub(crate) const fn are_for(key: &Key) -> bool {
    match key {
        Key::Secret(key) => key.standard.is_some(),
        #[cfg(feature = "ed25519")]
        Key::Public(_) => true,
    }
}

/// Reads the three headers, and of the signatures those that one of the keys can verify.
pub(crate) fn parse(headers: &HeaderMap, keys: &[Key]) -> Result<Presented, SignatureError> {
    let signatures = trimmed(single_line(headers, SIGNATURE, MAX_HEADER)?);
    let id = trimmed(single_line(headers, ID, MAX_ID)?);
    // A longer time is refused as a time, not as a header.
    let time = trimmed(single_line(headers, TIMESTAMP, MAX_HEADER)?);
    if !id.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(SignatureError::MalformedHeader);
    }
    let items = items(signatures)?;
    let timestamp = unix_seconds(time)?;
    let versions: Vec<_> = keys
        .iter()
        .filter(|key| are_for(key))
        .map(version)
        .collect();
    let has_key = |item: &&str| versions.iter().any(|version| item.starts_with(version));
    let mut signatures = Signatures::default();
    for item in items.into_iter().filter(has_key) {
        signatures.push(decode(item));
    }
    Ok(Presented {
        scheme: Scheme::Standard { id: id.into() },
        timestamp,
        signatures: signatures.checked()?,
    })
}

/// What the signatures start with that the key can verify.
const fn version(key: &Key) -> &'static str {
    match key {
        Key::Secret(_) => "v1,",
        #[cfg(feature = "ed25519")]
        Key::Public(_) => "v1a,",
    }
}

fn decode(item: &str) -> Option<Signature> {
    #[cfg(feature = "ed25519")]
    if item.starts_with("v1a,") {
        return webhooks_core::Ed25519PublicKey::decode(item).map(Signature::KeyPair);
    }
    let mac = StandardKey::decode(item)?.try_into().ok()?;
    Some(Signature::Mac(mac))
}

/// White space around a value is not part of it (RFC 9110, section 5.5).
fn trimmed(line: &str) -> &str {
    line.trim_matches([' ', '\t'])
}

/// The items, each `<version>,<signature>`, with one space between two.
fn items(text: &str) -> Result<Vec<&str>, SignatureError> {
    // One item too many is read, so that it is noticed.
    let items: Vec<_> = text.split(' ').take(MAX_ITEMS + 1).collect();
    let well_formed = |item: &&str| match item.split_once(',') {
        Some((version, _)) => !version.is_empty() && item.bytes().all(|b| b.is_ascii_graphic()),
        None => false,
    };
    if items.len() > MAX_ITEMS || !items.iter().all(well_formed) {
        return Err(SignatureError::MalformedHeader);
    }
    Ok(items)
}
