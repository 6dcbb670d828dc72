//! Random bytes, from the operating system: the one thing that this crate asks it for.

#[cfg(feature = "random")]
use crate::{Detail, Result, WebhookError};

/// Bytes of the operating system's cryptographic random source.
///
/// # Errors
///
/// [`WebhookError::RandomSource`] when it gives none.
#[cfg(feature = "random")]
pub fn random_bytes<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        let text = "the operating system gives none";
        WebhookError::RandomSource(Detail::with_source(text, error.to_string()))
    })?;
    Ok(bytes)
}

/// Bytes that no other call has got, here or in a copy of this process.
///
/// They are asked of the operating system each time. A generator of this process's own would go on
/// alike in both after a copy of its memory, as a snapshot of a virtual machine makes it; the
/// system's is seeded anew when that happens. Its bytes are mixed with those of such a generator,
/// which are all there is where the system gives none.
pub(crate) fn unique_bytes<const N: usize>() -> [u8; N] {
    let (mut bytes, mut own) = ([0; N], [0; N]);
    fastrand::fill(&mut own);
    if getrandom::fill(&mut bytes).is_err() {
        return own;
    }
    for (byte, own) in bytes.iter_mut().zip(own) {
        *byte ^= own;
    }
    bytes
}

/// A number that no other call has got, here or in a copy of this process: for storages, to tell a
/// call that is made again from another one.
#[must_use]
pub fn unique_number() -> u64 {
    u64::from_ne_bytes(unique_bytes())
}
