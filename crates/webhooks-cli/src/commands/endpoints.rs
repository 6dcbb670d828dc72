//! `webhooks endpoints`.

use clap::{Args, Subcommand};

use crate::client::Request;
use crate::failure::Failure;
use crate::output::Column;
use crate::session::{Limit, Session};

/// What is listed of each.
const COLUMNS: &[Column] = &[
    Column::new("ID", "/id"),
    Column::state("STATE", "/gate/state"),
    Column::new("TENANT", "/tenant"),
    Column::new("EVENTS", "/events"),
    Column::new("URL", "/url"),
];

/// What is shown of one.
const FIELDS: &[Column] = &[
    Column::new("ID", "/id"),
    Column::new("URL", "/url"),
    Column::new("EVENTS", "/events"),
    Column::state("STATE", "/gate/state"),
    Column::new("DISABLED BY", "/gate/disabled_by"),
    Column::new("HELD UNTIL", "/gate/held_until"),
    Column::new("FAILING SINCE", "/gate/failing_since"),
    Column::new("TENANT", "/tenant"),
    Column::new("DESCRIPTION", "/description"),
    Column::new("METADATA", "/metadata"),
    Column::new("FILTER", "/filter"),
    Column::new("HEADERS", "/headers").with(names),
    Column::new("TIMEOUT SECONDS", "/timeout_seconds"),
    Column::new("RATE LIMIT", "/rate_limit"),
    Column::new("BATCH", "/batch"),
    Column::new("SIGNATURE", "/signature"),
    Column::new("ORDERING", "/ordering"),
    Column::new("ON DEAD", "/on_dead"),
    Column::new("SECRET", "/secret_info/hint"),
    Column::new("PUBLIC KEYS", "/public_keys"),
    Column::new("REVISION", "/revision"),
    Column::new("CREATED AT", "/created_at"),
    Column::new("UPDATED AT", "/updated_at"),
];

/// Sees to endpoints.
#[derive(Debug, Subcommand)]
pub(crate) enum Endpoints {
    /// Lists endpoints, by id.
    List(List),
    /// Shows one.
    Get(Id),
}

/// Which endpoints.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Those of this tenant.
    #[arg(long)]
    tenant: Option<String>,
    /// Those that take events of this type.
    #[arg(long, value_name = "TYPE")]
    event_type: Option<String>,
    /// Those with this in their id, their description or the host of their URL.
    #[arg(short = 'Q', long = "query", value_name = "TEXT")]
    query: Option<String>,
    #[command(flatten)]
    limit: Limit,
}

/// One endpoint.
#[derive(Debug, Args)]
pub(crate) struct Id {
    /// The id of the endpoint.
    id: String,
}

impl Endpoints {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(session).await,
            Self::Get(Id { id }) => {
                let request = Request::get(["endpoints", &id]);
                session.show(request, FIELDS).await
            }
        }
    }
}

impl List {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let request = Request::get(["endpoints"])
            .maybe("tenant", self.tenant)
            .maybe("event_type", self.event_type)
            .maybe("q", self.query);
        session.list(request, COLUMNS, self.limit).await
    }
}

/// The names of headers; their values are credentials, and not shown.
fn names(headers: &serde_json::Value) -> String {
    let headers = headers.as_object();
    let names = headers.map(|headers| headers.keys().cloned().collect::<Vec<_>>());
    names.unwrap_or_default().join(",")
}
