use fred::error::{Error, ErrorKind};
use webhooks_core::WebhookError;

/// Errors of the server that pass: it starts, fails over, is busy or full.
const PASSING: [&str; 11] = [
    "LOADING",
    "READONLY",
    "CLUSTERDOWN",
    "MASTERDOWN",
    "TRYAGAIN",
    "MOVED",
    "ASK",
    "BUSY",
    "OOM",
    "MISCONF",
    "NOREPLICAS",
];

/// Why Redis did not do what it was asked.
pub(crate) fn storage_error(error: &Error) -> WebhookError {
    let source = source(error);
    let failed = if is_transient(error) {
        WebhookError::transient_storage("Redis cannot be reached or cannot answer now", source)
    } else {
        WebhookError::permanent_storage("Redis refused what it was asked", source)
    };
    if is_without_effect(error) {
        failed.without_effect()
    } else {
        failed
    }
}

/// Whether certainly nothing was done: the server refused the call itself, or the first write of a
/// script, behind which it refuses none for these reasons; or the call was never sent. Any other
/// error of a script may have come after writes, which no server takes back.
fn is_without_effect(error: &Error) -> bool {
    PASSING.contains(&code(error))
        || is_full(error)
        || is_unknown_script(error)
        || code(error) == "NOAUTH"
        || *error.kind() == ErrorKind::Backpressure
}

/// Whether the server has no memory left.
pub(crate) fn is_full(error: &Error) -> bool {
    code(error) == "OOM" || error.details().contains(" OOM command not allowed")
}

/// Whether the user has no right to what was asked.
pub(crate) fn is_refused(error: &Error) -> bool {
    code(error) == "NOPERM"
}

/// Whether the server does not know a script, and therefore ran nothing.
pub(crate) fn is_unknown_script(error: &Error) -> bool {
    code(error) == "NOSCRIPT"
}

fn is_transient(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::IO
            | ErrorKind::Timeout
            | ErrorKind::Canceled
            | ErrorKind::Backpressure
            | ErrorKind::Cluster
            | ErrorKind::Routing
            | ErrorKind::Sentinel
    ) || PASSING.contains(&code(error))
        || is_full(error)
        || (*error.kind() == ErrorKind::Unknown && !is_of_server(error))
}

/// Whether the server answered with this error. Its errors start with a code in capitals; those
/// that the client makes up while a connection is lost ("Failed to route command.") do not.
fn is_of_server(error: &Error) -> bool {
    let code = code(error);
    code.len() > 1 && code.chars().all(|c| c.is_ascii_uppercase())
}

fn code(error: &Error) -> &str {
    error.details().split(' ').next().unwrap_or_default()
}

/// The text of the error, without what the server quotes of a command that it does not know.
fn source(error: &Error) -> String {
    let details = error.details();
    let unquoted = details.split(", with args").next().unwrap_or_default();
    format!("{}: {unquoted}", error.kind().to_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: ErrorKind, text: &'static str) -> WebhookError {
        storage_error(&Error::new(kind, text))
    }

    #[test]
    fn what_passes_is_transient_and_the_rest_is_not() {
        assert!(of(ErrorKind::IO, "connection reset").is_transient());
        assert!(of(ErrorKind::Timeout, "").is_transient());
        assert!(of(ErrorKind::Backpressure, "").is_transient());
        assert!(of(ErrorKind::Cluster, "CLUSTERDOWN Hash slot not served").is_transient());
        assert!(of(ErrorKind::Unknown, "LOADING Redis is loading").is_transient());
        assert!(of(ErrorKind::Unknown, "READONLY You can't write").is_transient());
        assert!(of(ErrorKind::Unknown, "Failed to route command.").is_transient());
        assert!(!of(ErrorKind::Auth, "NOAUTH Authentication required").is_transient());
        assert!(!of(ErrorKind::Unknown, "ERR user_script:1: oops").is_transient());
    }

    #[test]
    fn only_what_was_certainly_not_done_is_called_so() {
        assert!(!of(ErrorKind::Unknown, "LOADING Redis is loading").outcome_unknown());
        assert!(!of(ErrorKind::Unknown, "OOM command not allowed").outcome_unknown());
        assert!(!of(ErrorKind::Backpressure, "").outcome_unknown());
        assert!(of(ErrorKind::IO, "connection reset").outcome_unknown());
        assert!(of(ErrorKind::Timeout, "").outcome_unknown());
        let half_way = "ERR user_script:1: NOPERM this user has no permissions to access a channel";
        let error = of(ErrorKind::Unknown, half_way);
        assert!(error.outcome_unknown() && !error.is_transient());
    }

    #[test]
    fn what_the_server_quotes_is_left_out() {
        let text = "ERR unknown command 'EVALSHA', with args beginning with: 'hunter2'";
        let error = of(ErrorKind::Unknown, text);
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(!source.contains("hunter2") && source.contains("EVALSHA"));
    }
}
