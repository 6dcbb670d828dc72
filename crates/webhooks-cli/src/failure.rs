//! Why a command failed, and the exit code that says so.

use std::error::Error;
use std::fmt;

use webhooks_core::WebhookError;

/// The thing itself failed.
pub(crate) const FAILED: u8 = 1;
/// The command line or a setting is wrong.
const USAGE: u8 = 2;
/// The storage or a server cannot be reached, or does not answer.
const UNREACHABLE: u8 = 6;

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    /// What people read; no secret.
    text: String,
}

impl Failure {
    /// What was asked for cannot be done as it was said.
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self {
            code: USAGE,
            text: text.into(),
        }
    }

    /// Something outside did not work.
    pub(crate) fn unreachable(text: impl Into<String>, error: &dyn Error) -> Self {
        Self {
            code: UNREACHABLE,
            text: format!("{}: {}", text.into(), causes(error)),
        }
    }

    /// The exit code of the process.
    pub(crate) const fn code(&self) -> u8 {
        self.code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<WebhookError> for Failure {
    fn from(error: WebhookError) -> Self {
        let code = match &error {
            WebhookError::InvalidConfig(_) => USAGE,
            error if error.is_transient() => UNREACHABLE,
            _ => FAILED,
        };
        Self {
            code,
            text: causes(&error),
        }
    }
}

/// An error with what led to it, each once.
fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
