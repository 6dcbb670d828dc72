//! The key that opens everything.
//!
//! The key is compared as SHA-256 with SHA-256, so that neither its length nor a common beginning shows
//! in the time that a comparison takes. A session holds the mark alone: the hash of the hash, cut short.
//! From it nobody gets the key, and a session ends when the host sets another key.

use ctutils::CtEq;
use sha2::{Digest, Sha256};

/// A key that opens everything and is kept nowhere: SHA-256 of it.
#[derive(Clone, Copy)]
pub(crate) struct RootKey([u8; 32]);

impl RootKey {
    /// That of this text.
    pub(crate) fn new(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }

    /// Whether this text is the key, in a time that does not depend on it.
    pub(super) fn is(self, text: &str) -> bool {
        self.0.ct_eq(&Self::new(text).0).into()
    }

    /// What tells this key from another and opens nothing: SHA-256 of what is kept, as far as it is
    /// needed for that.
    pub(super) fn mark(self) -> [u8; 8] {
        let digest = Sha256::digest(self.0);
        digest.first_chunk().copied().unwrap_or_default()
    }
}

impl std::fmt::Debug for RootKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RootKey(..)")
    }
}
