//! `webhooks info`: what answers, and who asks.

use clap::Args;

use crate::client::Request;
use crate::failure::Failure;
use crate::output::Column;
use crate::session::Session;

/// What is shown of a system.
const SYSTEM: &[Column] = &[
    Column::new("VERSION", "/version"),
    Column::new("NOW", "/now"),
    Column::new("MAX BODY BYTES", "/max_body_bytes"),
    Column::new("KEEPS DOCUMENTS", "/keeps_documents"),
];

/// What is shown of a caller.
const CALLER: &[Column] = &[
    Column::new("ACTOR", "/actor"),
    Column::new("TENANT", "/tenant"),
    Column::new("SCOPES", "/scopes"),
    Column::new("EXPIRES AT", "/expires_at"),
];

/// Tells what answers, or with `--me` who asks.
#[derive(Debug, Args)]
pub(crate) struct Info {
    /// Tells who asks, and what they may do.
    #[arg(long)]
    me: bool,
}

impl Info {
    /// Asks for what is wanted to be known.
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        match self.me {
            true => session.show(Request::get(["me"]), CALLER).await,
            false => session.show(Request::get(["info"]), SYSTEM).await,
        }
    }
}
