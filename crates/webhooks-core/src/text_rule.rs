//! Which texts name tenants, endpoints and keys: one rule for every call, on every storage.

use std::time::Duration;

use crate::{Result, WebhookError};

/// The longest id of an endpoint, tenant and idempotency key, in bytes.
pub const MAX_NAME: usize = 256;
/// The longest delay before the first attempt: as long as waiting deliveries are kept by default.
pub const MAX_DELAY: Duration = Duration::from_secs(30 * 86_400);

/// Checks a text that is to be the id of an endpoint: 1 to [`MAX_NAME`] bytes without spaces and
/// control characters.
///
/// # Errors
///
/// [`WebhookError::InvalidId`] that names the bound.
pub fn check_endpoint_id(id: &str) -> Result<()> {
    match id_problem("endpoint id", id) {
        None => Ok(()),
        Some(problem) => Err(WebhookError::InvalidId(problem.into())),
    }
}

/// The rule of names that `name` breaks, if it breaks one.
pub(crate) fn name_problem(field: &str, name: &str) -> Option<String> {
    let length = name.len();
    if !(1..=MAX_NAME).contains(&length) {
        return Some(format!(
            "{field} has {length} bytes, it needs 1 to {MAX_NAME}"
        ));
    }
    let is_bad = name.chars().any(char::is_control);
    is_bad.then(|| format!("{field} holds a control character"))
}

/// The rule of ids that `id` breaks, if it breaks one.
pub(crate) fn id_problem(field: &str, id: &str) -> Option<String> {
    let is_bad = id.chars().any(|c| c.is_whitespace() || c.is_control());
    // Its length first.
    name_problem(field, id)
        .filter(|_| !(1..=MAX_NAME).contains(&id.len()))
        .or_else(|| is_bad.then(|| format!("{field} holds a space or a control character")))
}
