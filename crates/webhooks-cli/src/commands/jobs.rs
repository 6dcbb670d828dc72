//! `webhooks jobs`: changes of many deliveries.

use clap::{Args, Subcommand};

use super::job::{self, FIELDS};
use crate::client::Request;
use crate::failure::Failure;
use crate::output::Column;
use crate::session::{Limit, Session};

/// What is listed of each.
const COLUMNS: &[Column] = &[
    Column::new("ID", "/id"),
    Column::new("ACTION", "/action"),
    Column::state("STATE", "/state"),
    Column::new("MATCHED", "/matched"),
    Column::new("CHANGED", "/changed"),
    Column::new("CREATED BY", "/created_by"),
    Column::new("CREATED AT", "/created_at"),
];

/// Sees to jobs, which change many deliveries.
#[derive(Debug, Subcommand)]
pub(crate) enum Jobs {
    /// Lists jobs of the last 30 days, newest first.
    List(Limit),
    /// Shows one.
    Get(Id),
    /// Waits until one has ended. Ctrl-C ends the wait, not the job.
    Watch(Id),
    /// Stops one. What it has changed stays changed.
    Stop(Id),
}

/// One job.
#[derive(Debug, Args)]
pub(crate) struct Id {
    /// The id of the job.
    id: String,
}

impl Jobs {
    /// Does it.
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::List(limit) => session.list(Request::get(["jobs"]), COLUMNS, limit).await,
            Self::Get(Id { id }) => session.show(Request::get(["jobs", &id]), FIELDS).await,
            Self::Watch(Id { id }) => job::watch(session, &id).await,
            Self::Stop(Id { id }) => {
                let request = Request::post(["jobs", &id, "stop"]);
                session.show(request, FIELDS).await
            }
        }
    }
}
