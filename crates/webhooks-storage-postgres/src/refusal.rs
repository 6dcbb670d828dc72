use tokio_postgres::error::{Severity, SqlState};

/// Why a call had no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// What was prepared is gone or out of date.
    Statement,
    /// The connection is in a state, or leads to a server, that takes no calls.
    Connection,
    /// Other transactions were in the way.
    Conflict,
}

impl Refusal {
    /// Of an answer to anything but a commit.
    pub(crate) fn of(error: &tokio_postgres::Error) -> Option<Self> {
        let error = error.as_db_error()?;
        let code = error.code();
        let is_one_of = |codes: &[SqlState]| codes.contains(code);
        if is_one_of(&[
            SqlState::T_R_SERIALIZATION_FAILURE,
            SqlState::T_R_DEADLOCK_DETECTED,
        ]) {
            return Some(Self::Conflict);
        }
        if is_one_of(&[
            SqlState::READ_ONLY_SQL_TRANSACTION,
            SqlState::ACTIVE_SQL_TRANSACTION,
            SqlState::IN_FAILED_SQL_TRANSACTION,
            SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
            SqlState::ADMIN_SHUTDOWN,
            SqlState::CRASH_SHUTDOWN,
        ]) {
            return Some(Self::Connection);
        }
        // A pooler answers with a protocol violation to what has nothing to do with statements, and
        // then ends the connection.
        let is_fatal = error.parsed_severity() == Some(Severity::Fatal);
        let statement = is_one_of(&[
            SqlState::INVALID_SQL_STATEMENT_NAME,
            SqlState::DUPLICATE_PSTATEMENT,
            // Also the answer of a standby that is to begin a transaction that writes.
            SqlState::FEATURE_NOT_SUPPORTED,
        ]) || *code == SqlState::PROTOCOL_VIOLATION && !is_fatal;
        statement.then_some(Self::Statement)
    }
}
