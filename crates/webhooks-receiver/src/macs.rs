use crate::SignatureError;

/// The most signatures that are compared.
const MOST: usize = 8;

/// The well-formed ones among a request's signatures, without an allocation: requests are verified
/// by the thousand.
#[derive(Debug, Default)]
pub(crate) struct Macs {
    macs: [[u8; 32]; MOST],
    usable: usize,
    presented: usize,
}

impl Macs {
    /// Takes the next presented signature; `None` if it is malformed, and so skipped.
    pub(crate) fn push(&mut self, mac: Option<[u8; 32]>) {
        self.presented += 1;
        if let Some((slot, mac)) = self.macs.get_mut(self.usable).zip(mac) {
            *slot = mac;
            self.usable += 1;
        }
    }

    /// All are there: at most 8, and a well-formed one among them.
    pub(crate) const fn checked(self) -> Result<Self, SignatureError> {
        if self.presented > MOST {
            return Err(SignatureError::TooManySignatures);
        }
        if self.usable == 0 {
            return Err(SignatureError::NoUsableSignature);
        }
        Ok(self)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8; 32]> {
        self.macs.iter().take(self.usable)
    }
}
