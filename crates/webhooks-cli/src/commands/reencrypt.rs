//! `webhooks reencrypt`: moves credentials to a new key.

use clap::Args;
use serde_json::Value;

use crate::client::Request;
use crate::failure::Failure;
use crate::output::Column;
use crate::session::Session;

/// What is shown of it.
const DONE: &[Column] = &[
    Column::new("ENDPOINTS", "/endpoints"),
    Column::new("UNREADABLE", "/unreadable"),
];

/// Encrypts the credentials of all endpoints with the first of the encryption keys.
///
/// Those that none of the keys can read are named and left as they are, and the exit code is 1.
#[derive(Debug, Args)]
pub(crate) struct Reencrypt {}

impl Reencrypt {
    /// Does it.
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let reply = session.client.send(Request::post(["reencrypt"])).await?;
        session.reply(&reply, DONE)?;
        let value = reply.value()?;
        let unreadable = value.get("unreadable").and_then(Value::as_array);
        match unreadable.map_or(0, Vec::len) {
            0 => Ok(()),
            left => Err(Failure::failed(format!(
                "none of the keys can read the credentials of {left} endpoints"
            ))),
        }
    }
}
