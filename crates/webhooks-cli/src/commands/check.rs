//! `webhooks check`: what is wrong with a system.

use clap::Args;
use serde_json::Value;

use crate::client::Request;
use crate::failure::Failure;
use crate::output::Column;
use crate::session::Session;

/// What is shown of each check.
const COLUMNS: &[Column] = &[
    Column::state("LEVEL", "/level"),
    Column::new("NAME", "/name"),
    Column::new("DETAIL", "/detail"),
    Column::new("FIX", "/fix"),
];

/// Looks at a system as a whole, and tells what is wrong and what mends it. An error makes the exit code 1.
#[derive(Debug, Args)]
pub(crate) struct Check {}

impl Check {
    /// Looks.
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let reply = session.client.send(Request::get(["doctor"])).await?;
        let value = reply.value()?;
        let checks = value.get("checks").and_then(Value::as_array);
        let checks = checks.ok_or_else(|| Failure::not_understood("the answer has no checks"))?;
        match session.output.is_json() {
            true => session.reply(&reply, COLUMNS)?,
            false => session.output.rows(COLUMNS, checks)?,
        }
        let is_error = |check: &&Value| check.get("level").and_then(Value::as_str) == Some("error");
        match checks.iter().filter(is_error).count() {
            0 => Ok(()),
            1 => Err(Failure::failed("one check found an error")),
            errors => Err(Failure::failed(format!("{errors} checks found errors"))),
        }
    }
}
