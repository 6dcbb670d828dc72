//! `webhooks deliveries`: what goes, or went, to endpoints.

mod columns;
mod export;
mod tail;

use clap::{Args, Subcommand};

pub(super) use self::columns::{COLUMNS, FIELDS};
use self::export::Export;
use self::tail::Tail;
use super::delivery_filter::DeliveryFilterArgs;
use crate::client::Request;
use crate::failure::Failure;
use crate::output::Column;
use crate::session::{Limit, Session};

/// What is shown of a count.
const COUNT: &[Column] = &[
    Column::new("COUNT", "/count"),
    Column::new("CAPPED", "/capped"),
    Column::new("COMPLETE", "/complete"),
];

/// Sees to deliveries.
#[derive(Debug, Subcommand)]
pub(crate) enum Deliveries {
    /// Lists deliveries, newest first.
    List(Box<List>),
    /// Shows one, with its attempts.
    Get(Id),
    /// Cancels one that waits.
    Cancel(Id),
    /// Sends one again that has ended, however it did.
    Resend(Id),
    /// Counts those that match.
    Count(Box<Count>),
    /// Writes all that match to standard output, as NDJSON or CSV.
    Export(Box<Export>),
    /// Tells what becomes of deliveries, as it happens in the process that answers.
    Tail(Tail),
}

/// Which deliveries.
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

/// One delivery.
#[derive(Debug, Args)]
pub(crate) struct Id {
    /// The id of the delivery.
    id: String,
}

/// What is counted.
#[derive(Debug, Args)]
pub(crate) struct Count {
    #[command(flatten)]
    filter: DeliveryFilterArgs,
    /// JSON that the data of the event must contain.
    #[arg(long, value_name = "JSON")]
    data: Option<String>,
    /// Counts no further: at most 1,000,000.
    #[arg(long, value_name = "N")]
    at_most: Option<u64>,
}

impl Deliveries {
    /// Does it.
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::List(list) => {
                let request = list.filter.ask(Request::get(["deliveries"]));
                let request = request.maybe("data", list.data);
                session.list(request, COLUMNS, list.limit).await
            }
            Self::Get(Id { id }) => {
                session
                    .show(Request::get(["deliveries", &id]), FIELDS)
                    .await
            }
            Self::Cancel(Id { id }) => {
                let request = Request::post(["deliveries", &id, "cancel"]);
                session.show(request, FIELDS).await
            }
            Self::Resend(Id { id }) => {
                let request = Request::post(["deliveries", &id, "resend"]);
                session.show(request, FIELDS).await
            }
            Self::Count(count) => {
                let request = count.filter.ask(Request::get(["deliveries", "count"]));
                let request = request
                    .maybe("data", count.data)
                    .maybe("at_most", count.at_most);
                session.show(request, COUNT).await
            }
            Self::Export(export) => export.run(session).await,
            Self::Tail(tail) => tail.run(session).await,
        }
    }
}
