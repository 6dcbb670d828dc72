//! What a request presents as its signature, whichever scheme it uses.

use ctutils::{Choice, CtEq};
use http::{HeaderMap, HeaderName, HeaderValue};
#[cfg(feature = "ed25519")]
use webhooks_core::Ed25519PublicKey;
use webhooks_core::{SigningKey, StandardKey};

use crate::SignatureError;
use crate::signatures::Signatures;

/// The longest header with signatures, in bytes.
pub(crate) const MAX_HEADER: usize = 4_096;
/// The most items of a header with signatures.
pub(crate) const MAX_ITEMS: usize = 32;
/// The most digits of a time: the year 33658 in Unix seconds, which no sum overflows.
const MAX_DIGITS: usize = 12;

/// One secret or public key, made ready.
#[derive(Clone)]
pub(crate) enum Key {
    /// A secret, for both schemes.
    Secret(Box<SecretKey>),
    /// A public key, for Standard Webhooks alone.
    #[cfg(feature = "ed25519")]
    Public(Ed25519PublicKey),
}

/// See [`Key`].
#[derive(Clone)]
pub(crate) struct SecretKey {
    pub(crate) timestamped: SigningKey,
    /// Only what is written as `whsec_<base64>` signs in this scheme.
    pub(crate) standard: Option<StandardKey>,
}

/// The well-formed signatures of one request and the time that they sign.
#[derive(Debug)]
pub(crate) struct Presented {
    pub(crate) scheme: Scheme,
    /// Unix seconds, of at most 12 digits.
    pub(crate) timestamp: i64,
    pub(crate) signatures: Signatures,
}

#[derive(Debug)]
pub(crate) enum Scheme {
    Timestamped,
    Standard { id: String },
}

impl Presented {
    /// Checks the time both ways; both bounds are still inside.
    ///
    /// A replayed request is at most as old as the tolerance. One from the future would stay
    /// replayable for longer, so that it is bounded too.
    pub(crate) fn check_time(&self, now: i64, tolerance: i64) -> Result<(), SignatureError> {
        // Before 1970 the receiver's clock is wrong, and so is everything that is compared with it.
        if now < 0 {
            return Err(SignatureError::ReceiverClock);
        }
        // Neither side is negative, so no difference overflows.
        if now - self.timestamp > tolerance {
            return Err(SignatureError::TimestampTooOld);
        }
        if self.timestamp - now > tolerance {
            return Err(SignatureError::TimestampInFuture);
        }
        Ok(())
    }

    /// Compares every secret's signature of `body` with every presented one, in constant time and
    /// to the end: how long it takes tells only how many there are.
    pub(crate) fn check_body(&self, keys: &[Key], body: &[u8]) -> Result<(), SignatureError> {
        // No early way out: how long it takes must not tell which secret fits, or how much of a
        // signature.
        let mut matched = Choice::FALSE;
        for key in keys {
            matched |= self.is_made_with(key, body);
        }
        if matched.to_bool() {
            Ok(())
        } else {
            Err(SignatureError::SignatureMismatch)
        }
    }

    fn is_made_with(&self, key: &Key, body: &[u8]) -> Choice {
        let mut matched = Choice::FALSE;
        match key {
            Key::Secret(key) => {
                if let Some(expected) = self.expected(key, body) {
                    for mac in self.signatures.macs() {
                        matched |= expected.ct_eq(mac);
                    }
                }
            }
            #[cfg(feature = "ed25519")]
            Key::Public(key) => {
                if let Scheme::Standard { id } = &self.scheme {
                    for signature in self.signatures.of_key_pairs() {
                        let is_good = key.verify(id, self.timestamp, body, signature);
                        matched |= Choice::from_u8_lsb(is_good.into());
                    }
                }
            }
        }
        matched
    }

    fn expected(&self, key: &SecretKey, body: &[u8]) -> Option<[u8; 32]> {
        match &self.scheme {
            Scheme::Timestamped => Some(key.timestamped.sign(self.timestamp, body)),
            Scheme::Standard { id } => Some(key.standard.as_ref()?.mac(id, self.timestamp, body)),
        }
    }
}

/// The one line of a header, of at most `limit` bytes of printable ASCII, spaces and tabs.
pub(crate) fn single_line(
    headers: &HeaderMap,
    name: HeaderName,
    limit: usize,
) -> Result<&str, SignatureError> {
    only_line(headers.get_all(name).iter(), limit)
}

/// The same of a header that was looked up.
pub(crate) fn only_line<'a>(
    mut lines: impl Iterator<Item = &'a HeaderValue>,
    limit: usize,
) -> Result<&'a str, SignatureError> {
    let line = lines.next().ok_or(SignatureError::MissingHeader)?;
    // Two lines may be read by a proxy as one and by this reader as another; neither is guessed.
    if lines.next().is_some() {
        return Err(SignatureError::DuplicateHeader);
    }
    line_text(line.as_bytes(), limit)
}

/// The text of one header line.
pub(crate) fn line_text(line: &[u8], limit: usize) -> Result<&str, SignatureError> {
    if line.iter().all(|byte| matches!(byte, b' ' | b'\t')) {
        return Err(SignatureError::MissingHeader);
    }
    if line.len() > limit {
        return Err(SignatureError::HeaderTooLong);
    }
    // To the end, whatever is found: without a way out, bytes are looked at many at a time.
    let printable = |fine, byte: &u8| fine & matches!(byte, b' '..=b'~' | b'\t');
    if !line.iter().fold(true, printable) {
        return Err(SignatureError::MalformedHeader);
    }
    std::str::from_utf8(line).map_err(|_| SignatureError::MalformedHeader)
}

/// Unix seconds as 1 to 12 decimal digits without a sign or a leading zero.
///
/// One spelling only: the text is part of what is signed, and another of the same time would be
/// another message.
pub(crate) fn unix_seconds(text: &str) -> Result<i64, SignatureError> {
    let canonical = text == "0" || !text.starts_with('0');
    if text.len() > MAX_DIGITS || !canonical || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(SignatureError::BadTimestamp);
    }
    text.parse().map_err(|_| SignatureError::BadTimestamp)
}
