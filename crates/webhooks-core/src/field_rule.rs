//! What is wrong with a field, as the error that names it and its bound.

use std::fmt;

use crate::{Result, WebhookError};

/// What encrypted credentials start with where they are stored; no secret and no value of a header
/// may start so itself.
pub const ENCRYPTED_PREFIX: &str = "enc1:";

/// The error of a field that has a problem.
pub(crate) fn broken(problem: Option<String>) -> Result<()> {
    match problem {
        None => Ok(()),
        Some(problem) => Err(WebhookError::InvalidEndpoint(problem.into())),
    }
}

/// Checks that a field has `least` to `most` of something.
pub(crate) fn bound<N: PartialOrd + fmt::Display>(
    field: &str,
    value: N,
    least: N,
    most: N,
    unit: &str,
) -> Result<()> {
    if value < least || value > most {
        return Err(WebhookError::InvalidEndpoint(
            format!("{field} has {value} {unit}, it needs {least} to {most}").into(),
        ));
    }
    Ok(())
}
