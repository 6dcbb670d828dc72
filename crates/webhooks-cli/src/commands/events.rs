//! `webhooks events`: what was sent.

use clap::{Args, Subcommand};

use crate::client::Request;
use crate::duration;
use crate::failure::Failure;
use crate::output::Column;
use crate::session::{Limit, Session};

/// What is listed of each.
const COLUMNS: &[Column] = &[
    Column::new("ID", "/id"),
    Column::new("TYPE", "/type"),
    Column::new("TENANT", "/tenant"),
    Column::new("CREATED AT", "/created_at"),
    Column::new("DELIVERED", "/deliveries/delivered"),
    Column::new("DEAD", "/deliveries/dead"),
];

/// What is shown of one.
const FIELDS: &[Column] = &[
    Column::new("ID", "/id"),
    Column::new("TYPE", "/type"),
    Column::new("TENANT", "/tenant"),
    Column::new("CREATED AT", "/created_at"),
    Column::new("PAYLOAD BYTES", "/payload_bytes"),
    Column::new("PAYLOAD ERASED", "/payload_erased"),
    Column::new("TRACE ID", "/trace_id"),
    Column::new("BLOCKED", "/deliveries/blocked"),
    Column::new("READY", "/deliveries/ready"),
    Column::new("SCHEDULED", "/deliveries/scheduled"),
    Column::new("LEASED", "/deliveries/leased"),
    Column::new("DELIVERED", "/deliveries/delivered"),
    Column::new("DEAD", "/deliveries/dead"),
    Column::new("CANCELLED", "/deliveries/cancelled"),
];

/// Sees to events.
#[derive(Debug, Subcommand)]
pub(crate) enum Events {
    /// Lists events, newest first.
    List(List),
    /// Shows one, with how many of its deliveries are in each state.
    Get(Id),
    /// Prints the envelope of one, as endpoints get it.
    Payload(Id),
}

/// Which events.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Those of this type, as in `user.created` or `user.*`.
    #[arg(long = "type", visible_alias = "event-type", value_name = "TYPE")]
    event_type: Option<String>,
    /// Those that were sent for this tenant.
    #[arg(long)]
    tenant: Option<String>,
    /// Those that were sent at this time or later: RFC 3339, or so long ago, as in `24h`.
    #[arg(long, visible_alias = "since", value_parser = duration::time, value_name = "TIME")]
    from: Option<String>,
    /// Those that were sent before this time.
    #[arg(long, value_parser = duration::time, value_name = "TIME")]
    to: Option<String>,
    #[command(flatten)]
    limit: Limit,
}

/// One event.
#[derive(Debug, Args)]
pub(crate) struct Id {
    /// The id of the event.
    id: String,
}

impl Events {
    /// Does it.
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::List(list) => {
                let request = Request::get(["events"])
                    .maybe("type", list.event_type)
                    .maybe("tenant", list.tenant)
                    .maybe("from", list.from)
                    .maybe("to", list.to);
                session.list(request, COLUMNS, list.limit).await
            }
            Self::Get(Id { id }) => session.show(Request::get(["events", &id]), FIELDS).await,
            Self::Payload(Id { id }) => {
                let request = Request::get(["events", &id, "payload"]);
                let reply = session.client.send(request).await?;
                session.output.json(&String::from_utf8_lossy(&reply.body))
            }
        }
    }
}
