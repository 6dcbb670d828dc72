//! `webhooks endpoints apply`: endpoints are what a file says.
//!
//! First a plan is made of what is stored, without a change. Each step of it then names the revision that the
//! plan was made of: what somebody changes between the two is not overwritten, and the rest is left undone.
//! To run it again goes on from there, since what is done is the same by then.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;
use http::Method;
use http::header::HeaderValue;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::plan::Step;
use crate::client::Request;
use crate::failure::Failure;
use crate::pages::Pages;
use crate::session::Session;
use crate::{input, toml_text};

/// A file, and how far it goes.
#[derive(Debug, Args)]
pub(crate) struct Apply {
    /// The file: TOML with `[[endpoints]]`, or JSON with `{"endpoints": [..]}` if its name ends in `.json`.
    /// Each has an `id`, and the fields of the API. What it leaves out has its default.
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// Deletes endpoints that are not in the file.
    #[arg(long)]
    prune: bool,
    /// With `--prune`: those of this tenant alone.
    #[arg(long, requires = "prune")]
    tenant: Option<String>,
    /// Writes secrets and values of headers over those that are stored, too. They cannot be compared, and
    /// without it they count for new endpoints alone.
    #[arg(long)]
    credentials: bool,
    /// Shows what would be done, and does nothing.
    #[arg(long)]
    dry_run: bool,
    /// Asks nothing before it deletes.
    #[arg(long)]
    yes: bool,
}

/// What the file says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// Each as the API takes it, with its id.
    endpoints: Vec<Map<String, Value>>,
}

/// One endpoint, and what is done with it.
struct Planned {
    /// The id of the endpoint.
    id: String,
    /// What is done with it.
    step: Step,
    /// What it was when the plan was made, if it was there.
    etag: Option<HeaderValue>,
}

impl Apply {
    /// Makes a plan, shows it, and does it: each write counts only while the endpoint is as it was then.
    pub(super) async fn run(self, session: &Session) -> Result<(), Failure> {
        let plan = self.plan(session).await?;
        let deletions = plan
            .iter()
            .filter(|of| matches!(of.step, Step::Delete))
            .count();
        if deletions > 0 && !self.dry_run {
            let question = format!("Delete {deletions} endpoints that are not in the file?");
            session.output.confirm(&question, self.yes)?;
        }
        let mut changed = 0;
        for planned in &plan {
            let made = match self.dry_run {
                true => None,
                false => done(session, planned).await?,
            };
            changed += usize::from(!matches!(planned.step, Step::Same));
            show(session, planned, made)?;
        }
        let verb = if self.dry_run { "to change" } else { "changed" };
        let same = plan.len() - changed;
        session
            .output
            .say(&format!("{changed} {verb}, {same} as they are"));
        Ok(())
    }

    /// What has to be done.
    async fn plan(&self, session: &Session) -> Result<Vec<Planned>, Failure> {
        let wanted = read(&self.file)?;
        let mut ids = BTreeSet::new();
        let mut plan = Vec::new();
        for (number, definition) in wanted.into_iter().enumerate() {
            let id = definition.get("id").and_then(Value::as_str);
            let Some(id) = id.map(str::to_owned) else {
                let text = format!("{}: endpoint {} has no id", self.file.display(), number + 1);
                return Err(Failure::usage(text));
            };
            if !ids.insert(id.clone()) {
                let text = format!("{}: {id:?} is there twice", self.file.display());
                return Err(Failure::usage(text));
            }
            let planned = self.planned(session, id, definition).await?;
            plan.push(planned);
        }
        if self.prune {
            self.add_deletions(session, &ids, &mut plan).await?;
        }
        Ok(plan)
    }

    /// What has to be done with one endpoint of the file.
    async fn planned(
        &self,
        session: &Session,
        id: String,
        definition: Map<String, Value>,
    ) -> Result<Planned, Failure> {
        let found = session.client.send(Request::get(["endpoints", &id])).await;
        let stored = match found {
            Ok(stored) => stored,
            Err(failure) if failure.is_not_found() => {
                let step = Step::Create(definition);
                return Ok(Planned {
                    id,
                    step,
                    etag: None,
                });
            }
            Err(failure) => return Err(failure),
        };
        let step = Step::to(&definition, stored.value()?, self.credentials);
        let step = step.map_err(|failure| failure.about(format!("{id:?}")))?;
        Ok(Planned {
            id,
            step,
            etag: Some(stored.etag()?),
        })
    }

    /// Adds what is there and not in the file.
    async fn add_deletions(
        &self,
        session: &Session,
        ids: &BTreeSet<String>,
        plan: &mut Vec<Planned>,
    ) -> Result<(), Failure> {
        let request = Request::get(["endpoints"]).maybe("tenant", self.tenant.as_ref());
        let mut pages = Pages::new(&session.client, request, None);
        while let Some(items) = pages.next().await? {
            for item in items {
                let item = serde_json::from_str::<Stored>(item.get());
                let stored = item
                    .map_err(|_| Failure::not_understood("an endpoint of the answer has no id"))?;
                if !ids.contains(&stored.id) {
                    let etag = HeaderValue::from_str(&format!("\"{}\"", stored.revision));
                    plan.push(Planned {
                        id: stored.id,
                        step: Step::Delete,
                        etag: etag.ok(),
                    });
                }
            }
        }
        Ok(())
    }
}

/// What is read of an endpoint that is listed.
#[derive(Deserialize)]
struct Stored {
    id: String,
    /// In quotes it is the `ETag`.
    revision: u64,
}

/// The definitions of a file.
fn read(path: &Path) -> Result<Vec<Map<String, Value>>, Failure> {
    let text = input::file(path)?;
    let is_json = path
        .extension()
        .is_some_and(|of| of.eq_ignore_ascii_case("json"));
    let wanted: Wanted = match is_json {
        true => serde_json::from_str(&text)
            .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?,
        false => toml_text::read(path, &text)?,
    };
    Ok(wanted.endpoints)
}

/// Does a step. The secret that was made, if one was.
async fn done(session: &Session, planned: &Planned) -> Result<Option<String>, Failure> {
    let id = planned.id.as_str();
    let path = ["endpoints", id];
    let request = match &planned.step {
        Step::Same => return Ok(None),
        Step::Create(fields) => Request::new(Method::PUT, path).json(fields)?.if_absent(),
        Step::Update(fields, _) => Request::new(Method::PUT, path).json(fields)?,
        Step::Delete => Request::new(Method::DELETE, path),
    };
    let request = match planned.etag.clone() {
        Some(etag) => request.if_match(etag),
        None => request,
    };
    let reply = session.client.send(request).await;
    let reply = reply.map_err(|failure| failure.about(format!("{id:?}")))?;
    if matches!(planned.step, Step::Delete) {
        return Ok(None);
    }
    let value = reply.value()?;
    let secret = value.get("secret").and_then(Value::as_str);
    Ok(secret.map(str::to_owned))
}

/// Tells of a step; what is the same is not worth a line to people.
fn show(session: &Session, planned: &Planned, secret: Option<String>) -> Result<(), Failure> {
    if session.output.is_json() {
        let mut json = planned.step.to_json(&planned.id);
        if let (Some(secret), Some(fields)) = (secret, json.as_object_mut()) {
            fields.insert("secret".to_owned(), secret.into());
        }
        return session.output.json(&json.to_string());
    }
    if matches!(planned.step, Step::Same) {
        return Ok(());
    }
    session.output.line(&planned.step.to_text(&planned.id))?;
    match secret {
        Some(secret) => session
            .output
            .line(&format!("    secret: {secret} (shown this once)")),
        None => Ok(()),
    }
}
