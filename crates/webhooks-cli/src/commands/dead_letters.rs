//! `webhooks dead-letters`: what was given up.

mod bulk;

use clap::{Args, Subcommand};
use serde_json::Value;

use self::bulk::{Purge, Replay};
use super::deliveries::{COLUMNS, FIELDS};
use super::delivery_filter::DeliveryFilterArgs;
use crate::client::Request;
use crate::failure::Failure;
use crate::output::Column;
use crate::session::{Limit, Session};
use crate::settings::GlobalArgs;

/// What is shown of a group.
const GROUPS: &[Column] = &[
    Column::new("COUNT", "/count"),
    Column::new("ENDPOINT", "/key/endpoint_id"),
    Column::new("DEAD REASON", "/key/dead_reason"),
    Column::new("LAST FAILURE", "/key/last_failure"),
    Column::new("TYPE", "/key/event_type"),
];

/// Sees to dead letters, deliveries that were given up.
#[derive(Debug, Subcommand)]
pub(crate) enum DeadLetters {
    /// Lists dead letters, newest first.
    List(Box<List>),
    /// Shows one, with its attempts.
    Get(Id),
    /// Counts them in groups, the largest first.
    Groups(Box<Groups>),
    /// Sends one again, or those that match.
    Replay(Box<Replay>),
    /// Drops one for good, or those that match.
    Purge(Box<Purge>),
}

/// Which dead letters.
#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    filter: DeliveryFilterArgs,
    /// JSON that the data of the event must contain.
    #[arg(long, value_name = "JSON")]
    data: Option<String>,
    #[command(flatten)]
    limit: Limit,
}

/// One dead letter.
#[derive(Debug, Args)]
pub(crate) struct Id {
    /// The id of the delivery.
    id: String,
}

/// Which dead letters, and what is counted together.
#[derive(Debug, Args)]
pub(crate) struct Groups {
    #[command(flatten)]
    filter: DeliveryFilterArgs,
    /// What those of a group have in common: one to three of `endpoint_id`, `dead_reason`, `last_failure` and
    /// `event_type`.
    #[arg(long, value_name = "WHAT", default_value = "endpoint_id,dead_reason")]
    by: String,
    /// Looks at no more than so many of the newest: at most 1,000,000.
    #[arg(long, value_name = "N")]
    at_most: Option<u64>,
}

impl DeadLetters {
    /// Does it. What makes a job sees to Ctrl-C itself.
    pub(crate) async fn run(self, global: &GlobalArgs) -> Result<(), Failure> {
        match self {
            Self::Replay(replay) => bulk::run(global, async |on| replay.run(on).await).await,
            Self::Purge(purge) => bulk::run(global, async |on| purge.run(on).await).await,
            look => Session::run(global, async |on| look.ask(on).await).await,
        }
    }

    /// Asks for what is only looked at.
    async fn ask(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::List(list) => {
                let request = list.filter.ask(Request::get(["dead-letters"]));
                let request = request.maybe("data", list.data);
                session.list(request, COLUMNS, list.limit).await
            }
            Self::Get(Id { id }) => {
                let request = Request::get(["dead-letters", &id]);
                session.show(request, FIELDS).await
            }
            Self::Groups(groups) => groups.run(session).await,
            // They were done without it.
            Self::Replay(_) | Self::Purge(_) => Ok(()),
        }
    }
}

impl Groups {
    /// Counts them.
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let request = self.filter.ask(Request::get(["dead-letters", "groups"]));
        let request = request.query("by", self.by).maybe("at_most", self.at_most);
        let reply = session.client.send(request).await?;
        if session.output.is_json() {
            return session.reply(&reply, &[]);
        }
        let value = reply.value()?;
        let groups = value.get("groups").and_then(Value::as_array);
        let groups = groups.map(Vec::as_slice).unwrap_or_default();
        session.output.rows(GROUPS, groups)?;
        if value.get("capped") == Some(&Value::Bool(true)) {
            session
                .output
                .say("there are more than were counted: --at-most N");
        }
        Ok(())
    }
}
