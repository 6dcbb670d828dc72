//! What a command works with: whoever answers, and whoever reads.

use std::time::Duration;

use clap::Args;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::client::{Client, Reply, Request};
use crate::failure::{Failure, INTERRUPTED};
use crate::output::{Column, Output};
use crate::pages::Pages;
use crate::settings::{GlobalArgs, Target};

/// How long a command has to end by itself after Ctrl-C.
const GRACE: Duration = Duration::from_secs(1);

/// Whoever answers, and whoever reads: all that a command is given.
///
/// A command makes a [`Request`], and names the [columns](Column) of what comes back. Whether that is a table,
/// columns between tabs or JSON, and who answers, is decided here once for all of them.
pub(crate) struct Session {
    /// Whoever answers.
    pub(crate) client: Client,
    /// Whoever reads.
    pub(crate) output: Output,
}

/// How much of a listing is wanted.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Limit {
    /// Lists so many at most.
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// Lists all there are.
    #[arg(long, conflicts_with = "limit")]
    all: bool,
}

/// Ends the process some time after Ctrl-C: a command that reads standard input does not hear of it.
async fn give_up() {
    if tokio::signal::ctrl_c().await.is_ok() {
        tokio::time::sleep(GRACE).await;
        std::process::exit(INTERRUPTED.into());
    }
}

impl Session {
    /// Runs a command, until it ends or Ctrl-C.
    ///
    /// # Errors
    ///
    /// Those of the command, and whatever keeps the server or the storage from being asked.
    pub(crate) async fn run(
        global: &GlobalArgs,
        command: impl AsyncFnOnce(&Self) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let session = Self::open(global).await?;
        let watch = tokio::spawn(give_up());
        let done = tokio::select! {
            done = command(&session) => done,
            _ = tokio::signal::ctrl_c() => Err(Failure::interrupted()),
        };
        watch.abort();
        session.close().await;
        done
    }

    /// Gets ready, for a command that sees to Ctrl-C itself.
    pub(crate) async fn open(global: &GlobalArgs) -> Result<Self, Failure> {
        let client = Client::open(&Target::of(global).await?).await?;
        let output = Output::new(global);
        if let Some(warning) = client.warning() {
            output.say(warning);
        }
        Ok(Self { client, output })
    }

    /// Gives back what was opened.
    pub(crate) async fn close(self) {
        self.client.close().await;
    }

    /// Asks for a listing, and writes it page by page: what is long begins to appear at once, and is
    /// nowhere held as a whole.
    pub(crate) async fn list(
        &self,
        request: Request,
        columns: &[Column],
        limit: Limit,
    ) -> Result<(), Failure> {
        let wanted = (!limit.all).then_some(limit.limit);
        let mut pages = Pages::new(&self.client, request, wanted);
        while let Some(items) = pages.next().await? {
            self.items(columns, &items)?;
        }
        if pages.has_more() {
            self.output.say("there are more: --limit N, or --all");
        }
        Ok(())
    }

    /// Writes items as they came: JSON, one a line, or rows.
    pub(crate) fn items(&self, columns: &[Column], items: &[Box<RawValue>]) -> Result<(), Failure> {
        if self.output.is_json() {
            return items
                .iter()
                .try_for_each(|item| self.output.json(item.get()));
        }
        let items = items.iter().map(|item| serde_json::from_str(item.get()));
        let items: Result<Vec<Value>, _> = items.collect();
        let items = items.map_err(|_| Failure::not_understood("the answer cannot be read"))?;
        self.output.rows(columns, &items)
    }

    /// Asks, and writes the one thing that is answered.
    pub(crate) async fn show(&self, request: Request, fields: &[Column]) -> Result<(), Failure> {
        let reply = self.client.send(request).await?;
        self.reply(&reply, fields)
    }

    /// Writes the one thing that was answered.
    pub(crate) fn reply(&self, reply: &Reply, fields: &[Column]) -> Result<(), Failure> {
        let value = reply.value()?;
        match self.output.is_json() {
            true => self.output.json(&String::from_utf8_lossy(&reply.body)),
            false => self.output.fields(fields, &value),
        }
    }
}
