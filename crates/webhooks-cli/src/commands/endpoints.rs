//! `webhooks endpoints`.

mod actions;
mod apply;
mod columns;
mod definition;
mod plan;

use clap::{Args, Subcommand};

use self::actions::{Add, Edit, Id, Remove, RotateSecret, Test};
use self::apply::Apply;
use self::columns::{COLUMNS, FIELDS};
use crate::client::Request;
use crate::failure::Failure;
use crate::session::{Limit, Session};

/// Sees to endpoints.
#[derive(Debug, Subcommand)]
pub(crate) enum Endpoints {
    /// Lists endpoints, by id.
    List(List),
    /// Shows one.
    Get(Id),
    /// Registers one.
    Add(Add),
    /// Changes what flags name.
    Edit(Edit),
    /// Deletes one; what waits for it is cancelled.
    #[command(visible_alias = "delete")]
    Rm(Remove),
    /// Lets deliveries wait.
    Pause(Id),
    /// Lets deliveries of a paused or held one go on.
    Resume(Id),
    /// Enables one that was disabled.
    Enable(Id),
    /// Disables one: new events make no deliveries for it.
    Disable(Id),
    /// Asks one whether it wants to be one.
    Verify(Id),
    /// Sends an event to one at once: it is not stored, and not tried again.
    Test(Test),
    /// Gives one another secret; that of before signs for a while, too.
    RotateSecret(RotateSecret),
    /// Makes endpoints what a file says.
    Apply(Apply),
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

impl Endpoints {
    /// Does it.
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(session).await,
            Self::Get(Id { id }) => {
                let request = Request::get(["endpoints", &id]);
                session.show(request, FIELDS).await
            }
            Self::Add(add) => add.run(session).await,
            Self::Edit(edit) => edit.run(session).await,
            Self::Rm(remove) => remove.run(session).await,
            Self::Pause(of) => actions::gate(session, of, "pause").await,
            Self::Resume(of) => actions::gate(session, of, "resume").await,
            Self::Enable(of) => actions::gate(session, of, "enable").await,
            Self::Disable(of) => actions::gate(session, of, "disable").await,
            Self::Verify(of) => actions::verify(session, of).await,
            Self::Test(test) => test.run(session).await,
            Self::RotateSecret(rotate) => rotate.run(session).await,
            Self::Apply(apply) => apply.run(session).await,
        }
    }
}

impl List {
    /// Asks for them, page by page.
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let request = Request::get(["endpoints"])
            .maybe("tenant", self.tenant)
            .maybe("event_type", self.event_type)
            .maybe("q", self.query);
        session.list(request, COLUMNS, self.limit).await
    }
}
