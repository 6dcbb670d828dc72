//! What is done to one dead letter, or to all that match.

use clap::Args;
use http::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::client::{Reply, Request};
use crate::commands::deliveries::FIELDS;
use crate::commands::delivery_filter::{DeliveryFilterArgs, words};
use crate::commands::job;
use crate::failure::Failure;
use crate::output::{Column, safe};
use crate::session::Session;
use crate::settings::GlobalArgs;

/// What is shown of a dry run.
const MATCHED: &[Column] = &[
    Column::new("MATCHED", "/matched"),
    Column::new("CAPPED", "/capped"),
];
/// Deliveries a second at most.
const MAX_RATE: i64 = 1_000;

/// What goes again.
#[derive(Debug, Args)]
pub(crate) struct Replay {
    #[command(flatten)]
    which: Which,
}

/// What is dropped.
#[derive(Debug, Args)]
pub(crate) struct Purge {
    #[command(flatten)]
    which: Which,
}

/// Which dead letters, and how sure the person is.
#[derive(Debug, Args)]
struct Which {
    /// One dead letter, in place of a filter.
    #[arg(value_name = "ID", conflicts_with = "all")]
    letter: Option<String>,
    #[command(flatten)]
    filter: DeliveryFilterArgs,
    /// All dead letters, in place of a filter.
    #[arg(long)]
    all: bool,
    /// Counts what matches, and changes nothing.
    #[arg(long)]
    dry_run: bool,
    /// Dead letters a second at most, of a filter: 1 to 1,000.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=MAX_RATE))]
    rate: Option<u32>,
    /// Asks nothing.
    #[arg(long)]
    yes: bool,
}

/// How many match.
#[derive(Deserialize)]
struct Matched {
    matched: u64,
    /// There may be more.
    capped: bool,
}

/// Runs a command that sees to Ctrl-C itself: until there is a job, Ctrl-C ends the process.
pub(super) async fn run(
    global: &GlobalArgs,
    command: impl AsyncFnOnce(&Session) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let session = Session::open(global).await?;
    let done = command(&session).await;
    session.close().await;
    done
}

impl Replay {
    /// Sends them again.
    pub(super) async fn run(self, session: &Session) -> Result<(), Failure> {
        match self.which.one()? {
            None => self.which.all(session, "replay").await,
            Some(id) => {
                let request = Request::post(["dead-letters", id, "replay"]);
                session.show(request, FIELDS).await
            }
        }
    }
}

impl Purge {
    /// Drops them, once the person is sure.
    pub(super) async fn run(self, session: &Session) -> Result<(), Failure> {
        let Some(id) = self.which.one()? else {
            return self.which.all(session, "purge").await;
        };
        let question = format!("Purge the dead letter {}?", safe(id));
        session.output.confirm(&question, self.which.yes)?;
        let request = Request::new(Method::DELETE, ["dead-letters", id]);
        session.client.send(request).await?;
        session.output.say("purged");
        Ok(())
    }
}

impl Which {
    /// The one that is meant, if it is one.
    ///
    /// # Errors
    ///
    /// What chooses nothing, or chooses twice: neither must widen what is done.
    fn one(&self) -> Result<Option<&str>, Failure> {
        let (fields, is_one) = (self.filter.fields()?, self.letter.is_some());
        if fields.contains_key("state") {
            return Err(Failure::usage("--state: dead letters are dead"));
        }
        if is_one && (!fields.is_empty() || self.dry_run || self.rate.is_some()) {
            let text = "an ID is one dead letter: no filter, --dry-run or --rate goes with it";
            return Err(Failure::usage(text));
        }
        if !is_one && fields.is_empty() != self.all {
            let text = "which ones? an ID, a filter, or --all for all of them";
            return Err(Failure::usage(text));
        }
        Ok(self.letter.as_deref())
    }

    /// Counts what matches, asks, and lets a job do it.
    async fn all(&self, session: &Session, action: &str) -> Result<(), Failure> {
        let (reply, counted) = self.count(session, action).await?;
        if self.dry_run || counted.matched == 0 {
            return session.reply(&reply, MATCHED);
        }
        session
            .output
            .confirm(&self.question(action, &counted)?, self.yes)?;
        let mut body = self.body(action)?;
        // What is dropped is no more than what the person has agreed to.
        if action == "purge" && !counted.capped {
            body.insert("expected_count".to_owned(), counted.matched.into());
        }
        let request = Request::post(["jobs"]).json(&body)?;
        let made = session.client.send(request).await?.value()?;
        let id = made.get("id").and_then(Value::as_str);
        let id = id.ok_or_else(|| Failure::not_understood("the job has no id"))?;
        job::attend(session, id).await
    }

    /// How many match now.
    async fn count(&self, session: &Session, action: &str) -> Result<(Reply, Matched), Failure> {
        let mut body = self.body(action)?;
        body.insert("dry_run".to_owned(), true.into());
        let request = Request::post(["jobs"]).json(&body)?;
        let reply = session.client.send(request).await?;
        let counted = reply.read()?;
        Ok((reply, counted))
    }

    /// The job as the API takes it. It names the state, since a purge would take all that has ended.
    fn body(&self, action: &str) -> Result<Map<String, Value>, Failure> {
        let mut filter = self.filter.fields()?;
        filter.insert("state".to_owned(), json!(["dead"]));
        let mut body = Map::new();
        body.insert("action".to_owned(), action.into());
        body.insert("filter".to_owned(), filter.into());
        if let Some(rate) = self.rate {
            body.insert("rate_per_second".to_owned(), rate.into());
        }
        Ok(body)
    }

    /// What the person is asked.
    fn question(&self, action: &str, counted: &Matched) -> Result<String, Failure> {
        let verb = match action {
            "purge" => "Purge",
            _ => "Replay",
        };
        let number = match counted.capped {
            true => format!("at least {}", counted.matched),
            false => counted.matched.to_string(),
        };
        Ok(match words(&self.filter.fields()?).as_str() {
            "" => format!("{verb} all dead letters, {number} of them?"),
            words => format!("{verb} {number} dead letters {words}?"),
        })
    }
}
