//! What is done with one endpoint.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use http::Method;
use serde_json::{Map, Value, json};

use super::columns::FIELDS;
use super::definition::Definition;
use crate::client::Request;
use crate::failure::Failure;
use crate::output::Column;
use crate::session::Session;
use crate::{duration, input};

/// What is shown of an endpoint whose gate was moved.
const GATE: &[Column] = &[
    Column::new("ID", "/id"),
    Column::state("STATE", "/gate/state"),
];

/// What is shown of a test.
const TEST: &[Column] = &[
    Column::new("DELIVERED", "/delivered"),
    Column::new("STATUS", "/status"),
    Column::new("FAILURE", "/failure"),
    Column::new("DURATION MS", "/duration_ms"),
    Column::new("RESPONSE", "/response/text"),
];

/// What is shown of a rotation.
const ROTATED: &[Column] = &[
    Column::new("SECRET", "/secret"),
    Column::new("PREVIOUS UNTIL", "/previous").with(ends),
];

/// One endpoint.
#[derive(Debug, Args)]
pub(crate) struct Id {
    /// The id of the endpoint.
    pub(super) id: String,
}

/// A new endpoint.
#[derive(Debug, Args)]
pub(crate) struct Add {
    /// Where requests go.
    url: String,
    /// Its id; one is made if it is left out.
    #[arg(long)]
    id: Option<String>,
    /// Takes no events yet.
    #[arg(long)]
    disabled: bool,
    #[command(flatten)]
    definition: Definition,
}

impl Add {
    /// Registers it, and shows its secret if that was made.
    pub(super) async fn run(self, session: &Session) -> Result<(), Failure> {
        let mut fields = self.definition.into_fields()?;
        fields.insert("url".to_owned(), self.url.into());
        if let Some(id) = self.id {
            fields.insert("id".to_owned(), id.into());
        }
        if self.disabled {
            fields.insert("enabled".to_owned(), false.into());
        }
        fields.entry("events").or_insert_with(|| json!(["*"]));
        let reply = session
            .client
            .send(Request::post(["endpoints"]).json(&fields)?)
            .await?;
        session.reply(&reply, FIELDS)?;
        if reply.value()?.get("secret").is_some_and(Value::is_string) {
            session.output.say("the secret is shown this once");
        }
        Ok(())
    }
}

/// A change of an endpoint.
#[derive(Debug, Args)]
pub(crate) struct Edit {
    /// The id of the endpoint.
    id: String,
    /// Where requests go.
    #[arg(long)]
    url: Option<String>,
    #[command(flatten)]
    definition: Definition,
}

impl Edit {
    /// Changes what flags name, unless somebody else changes it meanwhile.
    pub(super) async fn run(self, session: &Session) -> Result<(), Failure> {
        let mut fields: Map<String, Value> = self.definition.into_fields()?;
        if let Some(url) = self.url {
            fields.insert("url".to_owned(), url.into());
        }
        if fields.is_empty() {
            return Err(Failure::usage(
                "nothing is to be changed: see --help for the flags",
            ));
        }
        let stored = session
            .client
            .send(Request::get(["endpoints", &self.id]))
            .await?;
        let request = Request::new(Method::PATCH, ["endpoints", &self.id])
            .json(&fields)?
            .if_match(stored.etag()?);
        session.show(request, FIELDS).await
    }
}

/// An endpoint that goes.
#[derive(Debug, Args)]
pub(crate) struct Remove {
    /// The id of the endpoint.
    id: String,
    /// Asks nothing.
    #[arg(long)]
    yes: bool,
}

impl Remove {
    /// Deletes it, unless somebody changes it meanwhile.
    pub(super) async fn run(self, session: &Session) -> Result<(), Failure> {
        let stored = session
            .client
            .send(Request::get(["endpoints", &self.id]))
            .await?;
        let question = format!(
            "Delete the endpoint {}, and cancel what waits for it?",
            crate::output::safe(&self.id)
        );
        session.output.confirm(&question, self.yes)?;
        let request = Request::new(Method::DELETE, ["endpoints", &self.id]);
        session
            .client
            .send(request.if_match(stored.etag()?))
            .await?;
        session.output.say("deleted");
        Ok(())
    }
}

/// Moves the gate of an endpoint.
pub(super) async fn gate(session: &Session, of: Id, to: &str) -> Result<(), Failure> {
    session
        .show(Request::post(["endpoints", &of.id, to]), GATE)
        .await
}

/// Asks an endpoint whether it wants to be one.
pub(super) async fn verify(session: &Session, of: Id) -> Result<(), Failure> {
    let shown = session
        .show(Request::post(["endpoints", &of.id, "verify"]), GATE)
        .await;
    shown.map_err(|failure| match failure.is("not-verified") {
        true => Failure::failed(failure.to_string()),
        false => failure,
    })
}

/// An example that is sent at once.
#[derive(Debug, Args)]
pub(crate) struct Test {
    /// The id of the endpoint.
    id: String,
    /// The type of the event; `webhook.test` if it is left out.
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// What it tells: `JSON`, `@FILE` or `-`.
    #[arg(long, value_name = "JSON")]
    data: Option<String>,
}

impl Test {
    /// Sends it, and tells how that came out.
    pub(super) async fn run(self, session: &Session) -> Result<(), Failure> {
        #[derive(serde::Serialize)]
        struct Body {
            #[serde(skip_serializing_if = "Option::is_none")]
            r#type: Option<String>,
            #[serde(skip_serializing_if = "Option::is_none")]
            data: Option<Box<serde_json::value::RawValue>>,
        }
        let body = Body {
            r#type: self.event_type,
            data: self.data.as_deref().map(input::json).transpose()?,
        };
        let request = Request::post(["endpoints", &self.id, "test"]).json(&body)?;
        let reply = session.client.send(request).await?;
        session.reply(&reply, TEST)?;
        match reply.value()?.get("delivered") == Some(&true.into()) {
            true => Ok(()),
            false => Err(Failure::failed("it was not delivered")),
        }
    }
}

/// Another secret for an endpoint.
#[derive(Debug, Args)]
pub(crate) struct RotateSecret {
    /// The id of the endpoint.
    id: String,
    /// A file with the new secret, `-` for standard input. Without one it is made, and shown.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// For how long that of before signs, too: at most 7d.
    #[arg(long, default_value = "24h", value_parser = duration::read, value_name = "TIME")]
    overlap: Duration,
}

impl RotateSecret {
    /// Rotates it.
    pub(super) async fn run(self, session: &Session) -> Result<(), Failure> {
        let mut body = json!({ "overlap_seconds": self.overlap.as_secs() });
        if let (Some(path), Some(fields)) = (&self.secret_file, body.as_object_mut()) {
            let secret = input::secret(path)?;
            fields.insert("secret".to_owned(), secret.expose().into());
        }
        let request = Request::post(["endpoints", &self.id, "secret", "rotate"]);
        let reply = session.client.send(request.json(&body)?).await?;
        session.reply(&reply, ROTATED)
    }
}

/// When secrets of before end.
fn ends(previous: &Value) -> String {
    let previous = previous.as_array().map(Vec::as_slice).unwrap_or_default();
    let ends = previous
        .iter()
        .filter_map(|of| of.get("expires_at")?.as_str());
    ends.collect::<Vec<_>>().join(",")
}
