//! The keys that encrypt credentials in a storage.

use webhooks_core::EncryptionKeys;

use crate::failure::Failure;

/// Where they are: `<id>:<base64 of 32 bytes>`, with commas between them. The first one encrypts.
pub(crate) const VARIABLE: &str = "WEBHOOKS_ENCRYPTION_KEYS";

/// The keys that the environment gives, perhaps none.
pub(crate) fn keys() -> Result<EncryptionKeys, Failure> {
    let text = std::env::var(VARIABLE).unwrap_or_default();
    if text.is_empty() {
        return Ok(EncryptionKeys::none());
    }
    let read = text.parse();
    read.map_err(|error: webhooks_core::WebhookError| Failure::from(error).about(VARIABLE))
}
