use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};

use crate::{ENCRYPTED_PREFIX, Result, WebhookError, random_bytes};

/// The bytes of a key.
pub(super) const KEY: usize = 32;
/// The bytes of a nonce.
const NONCE: usize = 24;

/// One key, ready for use.
pub(super) struct Key {
    pub(super) id: Box<str>,
    pub(super) cipher: XChaCha20Poly1305,
}

/// The key's id and the Base64 of an encrypted value.
pub(super) fn parts(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix(ENCRYPTED_PREFIX)?.split_once(':')
}

/// Neither part holds a zero byte, so no two pairs make the same text.
fn associated(endpoint_id: &str, what: &str) -> Vec<u8> {
    [what.as_bytes(), b"\0", endpoint_id.as_bytes()].concat()
}

impl Key {
    /// A key of these bytes, if they are as many as a key has.
    pub(super) fn new(id: &str, key: &[u8]) -> Option<Self> {
        let cipher = XChaCha20Poly1305::new_from_slice(key).ok()?;
        Some(Self {
            id: id.into(),
            cipher,
        })
    }

    /// The text as it is stored: with what it is and whose it is, which it opens with alone.
    pub(super) fn seal(&self, endpoint_id: &str, what: &str, text: &str) -> Result<String> {
        let nonce: [u8; NONCE] = random_bytes()?;
        let aad = &associated(endpoint_id, what);
        let msg = text.as_bytes();
        let sealed = self
            .cipher
            .encrypt(&XNonce::from(nonce), Payload { msg, aad });
        let sealed = sealed.map_err(|_| {
            // Of 256 GiB or more.
            WebhookError::InvalidEndpoint(format!("the {what} is too long to be encrypted").into())
        })?;
        let all = [nonce.as_slice(), &sealed].concat();
        let (id, all) = (&self.id, STANDARD.encode(all));
        Ok(format!("{ENCRYPTED_PREFIX}{id}:{all}"))
    }

    /// What [`seal`](Self::seal) hid, if it was hidden with this key, for this endpoint, as this.
    pub(super) fn open(&self, endpoint_id: &str, what: &str, sealed: &str) -> Option<String> {
        let all = STANDARD.decode(sealed).ok()?;
        let (nonce, msg) = all.split_first_chunk::<NONCE>()?;
        let aad = &associated(endpoint_id, what);
        let opened = self
            .cipher
            .decrypt(&XNonce::from(*nonce), Payload { msg, aad });
        String::from_utf8(opened.ok()?).ok()
    }
}
