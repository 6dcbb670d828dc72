use std::sync::Arc;

/// What each transaction says itself, whatever the database, the role or somebody else on the same
/// connection has set. All of it ends with the transaction, so that nobody else meets it.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// In a transaction that has begun.
    pub(crate) set_local: Arc<str>,
    /// Begins a transaction with them.
    pub(crate) begin: Arc<str>,
}

impl Settings {
    /// `synchronous_commit` is a level of the server's setting, and not `off`.
    pub(crate) fn new(schema: &str, synchronous_commit: &str) -> Self {
        // The planner expects far more rows than a claim takes, and would have it compiled, which
        // takes a hundred times as long as to run it. Functions and operators are the system's, also
        // where a search path names something else first.
        let set_local = format!(
            "SET LOCAL jit = off; SET LOCAL synchronous_commit = {synchronous_commit}; \
             SET LOCAL search_path = pg_catalog, \"{schema}\"; SET LOCAL client_encoding = 'UTF8'"
        );
        // Statements wait for locks and go on with what they find then; they never compare what they
        // see with what they saw.
        let begin = format!("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; {set_local}");
        Self {
            set_local: set_local.into(),
            begin: begin.into(),
        }
    }
}
