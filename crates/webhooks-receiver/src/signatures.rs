//! The signatures that one request presents, of either scheme, in a fixed amount of memory.

use crate::SignatureError;

/// The most signatures that are compared.
/// Each is compared with each secret; a sender that rotates its secret needs two.
const MOST: usize = 8;

/// The well-formed ones among a request's signatures, without an allocation: requests are verified
/// by the thousand.
#[derive(Debug, Default)]
pub(crate) struct Signatures {
    usable: [Option<Signature>; MOST],
    count: usize,
    presented: usize,
}

/// One well-formed signature.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Signature {
    /// Made with a secret.
    Mac([u8; 32]),
    /// Made with a private key.
    #[cfg(feature = "ed25519")]
    KeyPair([u8; 64]),
}

impl Signatures {
    /// Takes the next presented signature; `None` if it is malformed, and so skipped.
    // More than there is room for are counted all the same, and refused by `checked`.
    pub(crate) fn push(&mut self, signature: Option<Signature>) {
        self.presented += 1;
        if signature.is_some()
            && let Some(slot) = self.usable.get_mut(self.count)
        {
            *slot = signature;
            self.count += 1;
        }
    }

    /// All are there: at most 8, and a well-formed one among them.
    pub(crate) const fn checked(self) -> Result<Self, SignatureError> {
        if self.presented > MOST {
            return Err(SignatureError::TooManySignatures);
        }
        if self.count == 0 {
            return Err(SignatureError::NoUsableSignature);
        }
        Ok(self)
    }

    /// Those that were made with a secret.
    pub(crate) fn macs(&self) -> impl Iterator<Item = &[u8; 32]> {
        self.usable.iter().flatten().filter_map(Signature::mac)
    }

    /// Those that were made with a private key.
    #[cfg(feature = "ed25519")]
    pub(crate) fn of_key_pairs(&self) -> impl Iterator<Item = &[u8; 64]> {
        self.usable.iter().flatten().filter_map(Signature::key_pair)
    }
}

impl Signature {
    const fn mac(&self) -> Option<&[u8; 32]> {
        match self {
            Self::Mac(mac) => Some(mac),
            #[cfg(feature = "ed25519")]
            Self::KeyPair(_) => None,
        }
    }

    #[cfg(feature = "ed25519")]
    const fn key_pair(&self) -> Option<&[u8; 64]> {
        match self {
            Self::Mac(_) => None,
            Self::KeyPair(signature) => Some(signature),
        }
    }
}
