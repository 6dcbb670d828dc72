//! Why a command failed, and the exit code that says so.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;
use webhooks_core::WebhookError;

/// The thing itself failed.
pub(crate) const FAILED: u8 = 1;
/// The command line or a setting is wrong.
pub(crate) const USAGE: u8 = 2;
/// There is no such thing.
const NOT_FOUND: u8 = 3;
/// The server refused what it was asked for.
const REFUSED: u8 = 4;
/// Nobody may do that, or not with this key.
const NOT_ALLOWED: u8 = 5;
/// The storage or a server cannot be reached, does not answer, or fails.
const UNREACHABLE: u8 = 6;
/// Somebody else has changed it, or it is not in a state for that.
const CONFLICT: u8 = 7;
/// The longest time for which a server makes a command wait.
const MAX_PAUSE: Duration = Duration::from_secs(60);
/// Ctrl-C.
pub(crate) const INTERRUPTED: u8 = 130;

/// Why a command failed: what people read, and what scripts tell apart.
///
/// Its text may quote what a server has said. Whoever writes it to a terminal makes it
/// [safe](crate::output::safe) first.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    /// What people read; no secret. Empty for what nobody has to be told.
    text: String,
    /// The `code` of the problem that the server answered, if it did.
    problem: Option<String>,
    /// When to try again, if the server said so.
    retry_after: Option<Duration>,
}

/// The parts of a problem (RFC 9457) that people are told.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Problem {
    /// What kind of problem it is.
    pub(crate) code: String,
    /// What is wrong.
    pub(crate) detail: String,
    /// `urn:request:` and the id of the request.
    pub(crate) instance: String,
    /// Which parts of the body are wrong.
    pub(crate) errors: Vec<FieldError>,
    /// When to try again.
    pub(crate) retry_after_ms: Option<u64>,
}

/// What is wrong with one part of a body.
#[derive(Debug, Deserialize)]
pub(crate) struct FieldError {
    /// Which part, as a JSON pointer.
    pub(crate) pointer: String,
    /// What is wrong with it.
    pub(crate) detail: String,
}

impl Failure {
    /// The thing itself failed: it was not delivered, not verified, or a check found an error.
    pub(crate) fn failed(text: impl Into<String>) -> Self {
        Self::new(FAILED, text)
    }

    /// What was asked for cannot be done as it was said.
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::new(USAGE, text)
    }

    /// Something outside did not work.
    pub(crate) fn unreachable(text: impl Into<String>, error: &dyn Error) -> Self {
        Self::new(UNREACHABLE, format!("{}: {}", text.into(), causes(error)))
    }

    /// An answer that does not come from the API.
    pub(crate) fn not_understood(text: impl Into<String>) -> Self {
        Self::new(UNREACHABLE, text)
    }

    /// Some of what was asked for was refused.
    pub(crate) fn refused(text: impl Into<String>) -> Self {
        Self::new(REFUSED, text)
    }

    /// Ctrl-C.
    pub(crate) fn interrupted() -> Self {
        Self::new(INTERRUPTED, "interrupted")
    }

    /// Whoever reads the output has closed it: they have what they wanted.
    pub(crate) const fn closed() -> Self {
        Self {
            code: 0,
            text: String::new(),
            problem: None,
            retry_after: None,
        }
    }

    /// What the server answered in place of what it was asked for.
    pub(crate) fn problem(status: StatusCode, problem: &Problem) -> Self {
        let code = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => NOT_ALLOWED,
            StatusCode::NOT_FOUND => NOT_FOUND,
            StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED => CONFLICT,
            status if status.is_client_error() => REFUSED,
            _ => UNREACHABLE,
        };
        let mut text = match problem.detail.as_str() {
            "" => format!("the server answers {status}"),
            detail => detail.to_owned(),
        };
        for error in &problem.errors {
            text.push_str(&format!("\n  {}: {}", error.pointer, error.detail));
        }
        if status.is_server_error() && !problem.instance.is_empty() {
            text.push_str(&format!(" ({})", problem.instance));
        }
        Self {
            problem: Some(problem.code.clone()),
            retry_after: problem.retry_after_ms.map(Duration::from_millis),
            ..Self::new(code, text)
        }
    }

    /// A failure with this exit code.
    fn new(code: u8, text: impl Into<String>) -> Self {
        Self {
            code,
            text: text.into(),
            problem: None,
            retry_after: None,
        }
    }

    /// The same, with what it is about before it.
    pub(crate) fn about(self, what: impl fmt::Display) -> Self {
        Self {
            text: format!("{what}: {}", self.text),
            ..self
        }
    }

    /// The exit code of the process.
    pub(crate) const fn code(&self) -> u8 {
        self.code
    }

    /// Whether the server answered a problem with this `code`.
    pub(crate) fn is(&self, problem: &str) -> bool {
        self.problem.as_deref() == Some(problem)
    }

    /// When to try again, if the server said so: at most a minute.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        self.retry_after.map(|after| after.min(MAX_PAUSE))
    }

    /// Whether there is no such thing.
    pub(crate) const fn is_not_found(&self) -> bool {
        self.code == NOT_FOUND
    }

    /// Whether it is not in a state for that.
    pub(crate) const fn is_conflict(&self) -> bool {
        self.code == CONFLICT
    }

    /// Whether whoever should answer does not, so that a later try may help.
    pub(crate) const fn is_unreachable(&self) -> bool {
        self.code == UNREACHABLE
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
        Self::new(code, causes(&error))
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
