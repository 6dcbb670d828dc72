//! The timestamped signature: `t=<unix seconds>,v1=<hex>`.
//!
//! HMAC-SHA256 (RFC 2104, FIPS 180-4) over `{t}.{raw body}` with the secret's UTF-8 bytes as key,
//! written in lower-case hex. It is the scheme of the `Stripe-Signature` header, so verifiers
//! written for that one accept it.

use std::fmt::{self, Write};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The header that carries the timestamped signature.
pub const SIGNATURE_HEADER: &str = "x-webhook-signature";

/// Signs and verifies one payload at a time with the timestamped scheme.
///
/// What signs many payloads with one secret keeps a [`SigningKey`] instead.
///
/// ```
/// use webhooks_core::SignatureGenerator;
///
/// let signature = SignatureGenerator.generate("a secret", b"{}", 1_700_000_000);
/// assert!(SignatureGenerator.verify(&signature, "a secret", b"{}", 1_700_000_000));
/// assert!(!SignatureGenerator.verify(&signature, "a secret", b"{}", 1_700_000_001));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignatureGenerator;

impl SignatureGenerator {
    /// The signature of `payload` at `timestamp` (Unix seconds), in lower-case hex.
    #[must_use]
    pub fn generate(&self, secret: &str, payload: &[u8], timestamp: i64) -> String {
        let mac = SigningKey::new(secret.as_bytes()).sign(timestamp, payload);
        hex(&mac, &mut [0; 64]).to_owned()
    }

    /// Whether `signature` is that of `payload` at `timestamp`, in hex of either case, compared in
    /// constant time. An empty secret verifies nothing.
    #[must_use]
    pub fn verify(&self, signature: &str, secret: &str, payload: &[u8], timestamp: i64) -> bool {
        let Some(mac) = decode_hex(signature) else {
            return false;
        };
        // HMAC takes an empty key, with which anybody can sign.
        !secret.is_empty() && SigningKey::new(secret.as_bytes()).verify(timestamp, payload, &mac)
    }
}

/// A secret made ready for signing: the state of HMAC after its key, which costs two blocks of
/// SHA-256 less per signature. Wiped when dropped.
///
/// ```
/// use webhooks_core::{SigningKey, signature_header};
///
/// let key = SigningKey::new(b"a secret");
/// let header = signature_header([&key], 1_700_000_000, b"{}");
/// assert!(header.starts_with("t=1700000000,v1="));
/// ```
#[derive(Clone)]
pub struct SigningKey(Hmac<Sha256>);

impl SigningKey {
    /// Makes a key ready. Any length will do.
    #[must_use]
    #[expect(
        clippy::expect_used,
        reason = "HMAC takes keys of every length (RFC 2104)"
    )]
    #[expect(clippy::missing_panics_doc, reason = "it cannot")]
    pub fn new(key: &[u8]) -> Self {
        Self(Hmac::new_from_slice(key).expect("HMAC takes a key of any length"))
    }

    /// The MAC of `{timestamp}.{payload}`.
    #[must_use]
    pub fn sign(&self, timestamp: i64, payload: &[u8]) -> [u8; 32] {
        self.mac(timestamp, payload).finalize().into_bytes().into()
    }

    /// Whether `mac` is the MAC of `{timestamp}.{payload}`, compared in constant time.
    #[must_use]
    // Not by `==`: the time of a comparison that stops early tells how much of a forgery was right.
    pub fn verify(&self, timestamp: i64, payload: &[u8], mac: &[u8; 32]) -> bool {
        self.mac(timestamp, payload).verify_slice(mac).is_ok()
    }

    /// The MAC of the parts one after the other.
    #[must_use]
    pub fn sign_parts(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.mac_parts(parts).finalize().into_bytes().into()
    }

    /// Whether `mac` is the MAC of the parts one after the other, compared in constant time.
    #[must_use]
    pub fn verify_parts(&self, parts: &[&[u8]], mac: &[u8]) -> bool {
        self.mac_parts(parts).verify_slice(mac).is_ok()
    }

    fn mac(&self, timestamp: i64, payload: &[u8]) -> Hmac<Sha256> {
        self.mac_parts(&[decimal(timestamp, &mut [0; 20]), b".", payload])
    }

    fn mac_parts(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        // A clone is the state after the key, which is what makes this cheaper than beginning anew.
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(part);
        }
        mac
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(<hidden>)")
    }
}

/// The value of [`SIGNATURE_HEADER`]: one `v1` per key, in the given order, newest first.
///
/// Several keys sign while a secret is replaced, so that a receiver which knows either of them
/// verifies.
#[must_use]
pub fn signature_header<'a>(
    keys: impl IntoIterator<Item = &'a SigningKey>,
    timestamp: i64,
    payload: &[u8],
) -> String {
    // Room for the time and one signature.
    let mut header = String::with_capacity(96);
    // Writing into a string cannot fail.
    let _ = write_signature_header(&mut header, keys, timestamp, payload);
    header
}

/// Writes what [`signature_header`] returns.
///
/// # Errors
///
/// Those of `to`.
pub fn write_signature_header<'a>(
    to: &mut impl Write,
    keys: impl IntoIterator<Item = &'a SigningKey>,
    timestamp: i64,
    payload: &[u8],
) -> fmt::Result {
    write!(to, "t={timestamp}")?;
    for key in keys {
        let mut digits = [0; 64];
        to.write_str(",v1=")?;
        to.write_str(hex(&key.sign(timestamp, payload), &mut digits))?;
    }
    Ok(())
}

/// The lower-case hex digits of a MAC.
fn hex<'a>(mac: &[u8; 32], digits: &'a mut [u8; 64]) -> &'a str {
    // By hand: formatting each byte costs more than the hash of a short body.
    for (pair, byte) in digits.chunks_exact_mut(2).zip(mac) {
        for (digit, half) in pair.iter_mut().zip([byte >> 4, byte & 0xf]) {
            *digit = half + if half < 10 { b'0' } else { b'a' - 10 };
        }
    }
    std::str::from_utf8(digits).unwrap_or_default()
}

/// The 32 bytes that exactly 64 hex digits stand for, of either case.
#[must_use]
pub fn decode_hex(text: &str) -> Option<[u8; 32]> {
    let text = text.as_bytes();
    if text.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    // Looked at once at the end: a way out at every digit costs more than the digits.
    let mut wrong = 0;
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let [high, low] = *pair else { return None };
        let (high, low) = (nibble(high), nibble(low));
        wrong |= high | low;
        *byte = high << 4 | low & 0xf;
    }
    (wrong <= 0xf).then_some(bytes)
}

/// What a hex digit stands for; more than 15 for anything else.
const fn nibble(digit: u8) -> u8 {
    let (decimal, letter) = (digit.wrapping_sub(b'0'), (digit | 0x20).wrapping_sub(b'a'));
    if decimal < 10 {
        decimal
    } else if letter < 6 {
        letter + 10
    } else {
        0xff
    }
}

/// A number in decimal digits, at the end of the buffer, which holds the longest.
fn decimal(number: i64, buffer: &mut [u8; 20]) -> &[u8] {
    let mut rest = number.unsigned_abs();
    let mut unused = buffer.len();
    for slot in buffer.iter_mut().rev() {
        *slot = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
        unused -= 1;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        unused -= 1;
        if let Some(sign) = buffer.get_mut(unused) {
            *sign = b'-';
        }
    }
    buffer.get(unused..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &str = "d7373bc68f4bd320b253cd7461f87af6e1cdf1b4d7db1614d8d1d746972d2d0a";

    #[test]
    fn verifies_only_the_signed_bytes_secret_and_time() {
        let generator = SignatureGenerator;
        let signature = generator.generate("secret", b"{}", 1_750_000_000);
        assert_eq!(signature.len(), 64);
        assert!(generator.verify(&signature, "secret", b"{}", 1_750_000_000));
        assert!(!generator.verify(&signature, "secret", b"{ }", 1_750_000_000));
        assert!(!generator.verify(&signature, "secreu", b"{}", 1_750_000_000));
        assert!(!generator.verify(&signature, "secret", b"{}", 1_750_000_001));
    }

    #[test]
    fn an_empty_secret_verifies_nothing() {
        let generator = SignatureGenerator;
        let signature = generator.generate("", b"{}", 1);
        assert!(!generator.verify(&signature, "", b"{}", 1));
    }

    #[test]
    fn a_signature_is_64_hex_digits_of_either_case() {
        let known = decode_hex(KNOWN).unwrap();
        assert_eq!(decode_hex(&KNOWN.to_uppercase()), Some(known));
        let long = format!("{KNOWN}00");
        for bad in ["", "d7", &KNOWN[1..], &long] {
            assert_eq!(decode_hex(bad), None);
        }
        let is_digit = |digit: u8| digit.is_ascii_hexdigit();
        for digit in 0..=0x7f_u8 {
            let text = KNOWN.replacen('d', &char::from(digit).to_string(), 1);
            assert_eq!(decode_hex(&text).is_some(), is_digit(digit), "{digit:#x}");
        }
    }

    #[test]
    fn times_of_every_length_and_sign_are_written_in_full() {
        for number in [0, 7, -1, 1_750_000_000, i64::MAX, i64::MIN] {
            let text = number.to_string();
            assert_eq!(decimal(number, &mut [0; 20]), text.as_bytes());
        }
    }

    #[test]
    fn the_header_carries_one_signature_per_live_secret() {
        let keys = [SigningKey::new(b"new"), SigningKey::new(b"old")];
        let header = signature_header(&keys, 17, b"{}");
        let generator = SignatureGenerator;
        assert_eq!(
            header,
            format!(
                "t=17,v1={},v1={}",
                generator.generate("new", b"{}", 17),
                generator.generate("old", b"{}", 17)
            )
        );
    }
}
