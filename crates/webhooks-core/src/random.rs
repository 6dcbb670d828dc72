//! Random bytes, from the operating system: the one thing that this crate asks it for.

use crate::{Detail, Result, WebhookError};

/// Bytes of the operating system's cryptographic random source.
///
/// # Errors
///
/// [`WebhookError::RandomSource`] when it gives none.
pub fn random_bytes<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        let text = "the operating system gives none";
        WebhookError::RandomSource(Detail::with_source(text, error.to_string()))
    })?;
    Ok(bytes)
}
