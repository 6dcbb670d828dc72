//! The three headers of Standard Webhooks, version 1.
//!
//! `webhook-id`, `webhook-timestamp` and `webhook-signature: v1,<base64> v1,<base64> ..`. Items of
//! other versions are skipped, as the specification asks. Source: the Standard Webhooks
//! specification, "Signature scheme".

use http::{HeaderMap, HeaderName};
use webhooks_core::{
    STANDARD_ID_HEADER, STANDARD_SIGNATURE_HEADER, STANDARD_TIMESTAMP_HEADER, StandardKey,
};

use crate::SignatureError;
use crate::macs::Macs;
use crate::presented::{MAX_HEADER, MAX_ITEMS, Presented, Scheme, single_line, unix_seconds};

/// The longest id, in bytes.
const MAX_ID: usize = 256;

const ID: HeaderName = HeaderName::from_static(STANDARD_ID_HEADER);
const TIMESTAMP: HeaderName = HeaderName::from_static(STANDARD_TIMESTAMP_HEADER);
const SIGNATURE: HeaderName = HeaderName::from_static(STANDARD_SIGNATURE_HEADER);

/// Whether the request is signed in this scheme at all.
pub(crate) fn are_present(headers: &HeaderMap) -> bool {
    headers.contains_key(SIGNATURE)
}

/// Reads the three headers.
pub(crate) fn parse(headers: &HeaderMap) -> Result<Presented, SignatureError> {
    let signatures = trimmed(single_line(headers, SIGNATURE, MAX_HEADER)?);
    let id = trimmed(single_line(headers, ID, MAX_ID)?);
    // A longer time is refused as a time, not as a header.
    let time = trimmed(single_line(headers, TIMESTAMP, MAX_HEADER)?);
    if !id.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(SignatureError::MalformedHeader);
    }
    let items = items(signatures)?;
    let timestamp = unix_seconds(time)?;
    let mut macs = Macs::default();
    for item in items.into_iter().filter(|item| item.starts_with("v1,")) {
        macs.push(StandardKey::decode(item).and_then(|mac| mac.try_into().ok()));
    }
    Ok(Presented {
        scheme: Scheme::Standard { id: id.into() },
        timestamp,
        macs: macs.checked()?,
    })
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
