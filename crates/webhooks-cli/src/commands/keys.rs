//! `webhooks keys`: keys of the API, and secrets that are made without a server.

mod offline;

use std::time::Duration;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Map, Value, json};

use crate::client::Request;
use crate::duration;
use crate::failure::Failure;
use crate::output::{Column, Output, safe};
use crate::session::{Limit, Session};
use crate::settings::GlobalArgs;

/// What is listed of each key.
const COLUMNS: &[Column] = &[
    Column::new("ID", "/id"),
    Column::new("NAME", "/name"),
    Column::new("TENANT", "/tenant"),
    Column::new("EXPIRES AT", "/expires_at"),
    Column::new("LAST USED AT", "/last_used_at"),
    Column::new("SCOPES", "/scopes"),
];

/// What is shown of a key that was made.
const MADE: &[Column] = &[Column::new("ID", "/id"), Column::new("KEY", "/key")];

/// Sees to keys of the API, and makes secrets.
#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// Makes a key of the API, which is shown this once.
    Generate(Generate),
    /// Lists keys, by id.
    List(Limit),
    /// Ends a key. Other processes take it for 5 more seconds at most.
    Revoke(Revoke),
    /// Gives a key another text, which is shown this once.
    Rotate(Rotate),
    /// Makes a secret for an endpoint, without a server.
    EndpointSecret(offline::EndpointSecret),
    /// Makes a key that encrypts credentials at rest, without a server: for `WEBHOOKS_ENCRYPTION_KEYS`.
    Encryption(offline::Encryption),
}

/// A new key.
#[derive(Debug, Args)]
pub(crate) struct Generate {
    /// Makes a root key, without a server: for `WEBHOOKS_ROOT_KEY` of `serve`.
    #[arg(long, exclusive = true)]
    root: bool,
    /// What people call it.
    #[arg(long, default_value = "cli")]
    name: String,
    /// Scopes that go together: `viewer`, `support`, `operator` or `admin`.
    #[arg(long, conflicts_with = "scope", required_unless_present_any = ["scope", "root"])]
    role: Option<String>,
    /// What it may do, as in `events:send`. Can be given several times.
    #[arg(long, value_delimiter = ',')]
    scope: Vec<String>,
    /// The tenant whose things alone it opens.
    #[arg(long)]
    tenant: Option<String>,
    /// How long it is taken, as in `90d`; for ever if it is left out.
    #[arg(long, value_parser = duration::read, value_name = "TIME")]
    expires: Option<Duration>,
    /// A network from which alone it is taken. Can be given several times.
    #[arg(long = "from", value_name = "CIDR")]
    from: Vec<String>,
}

/// A key that ends.
#[derive(Debug, Args)]
pub(crate) struct Revoke {
    /// The id of the key, as it stands in it.
    id: String,
    /// Asks nothing.
    #[arg(long)]
    yes: bool,
}

/// A key that gets another text.
#[derive(Debug, Args)]
pub(crate) struct Rotate {
    /// The id of the key, as it stands in it.
    id: String,
    /// For how long the key of before is taken, too: at most 7d.
    #[arg(long, default_value = "0s", value_parser = duration::read, value_name = "TIME")]
    overlap: Duration,
}

impl Keys {
    /// Does it; what needs no server is done without one.
    pub(crate) async fn run(self, global: &GlobalArgs) -> Result<(), Failure> {
        match self {
            Self::Generate(Generate { root: true, .. }) => offline::root(&Output::new(global)),
            Self::EndpointSecret(secret) => secret.make(&Output::new(global)),
            Self::Encryption(encryption) => encryption.make(&Output::new(global)),
            with_server => Session::run(global, async |on| with_server.ask(on).await).await,
        }
    }

    /// Asks a server.
    async fn ask(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::Generate(generate) => {
                let request = Request::post(["api-keys"]).json(&generate.into_body())?;
                session.show(request, MADE).await?;
                session.output.say("the key is shown this once");
                Ok(())
            }
            Self::List(limit) => {
                session
                    .list(Request::get(["api-keys"]), COLUMNS, limit)
                    .await
            }
            Self::Revoke(revoke) => revoke.run(session).await,
            Self::Rotate(rotate) => {
                let body = json!({ "overlap_seconds": rotate.overlap.as_secs() });
                let request = Request::post(["api-keys", &rotate.id, "rotate"]);
                session.show(request.json(&body)?, MADE).await?;
                session.output.say("the key is shown this once");
                Ok(())
            }
            // They were made without a server.
            Self::EndpointSecret(_) | Self::Encryption(_) => Ok(()),
        }
    }
}

impl Generate {
    /// The key as the API takes it.
    fn into_body(self) -> Map<String, Value> {
        let mut body = Map::new();
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                body.insert(name.to_owned(), value);
            }
        };
        set("name", Some(self.name.into()));
        set("role", self.role.map(Into::into));
        set(
            "scopes",
            (!self.scope.is_empty()).then(|| self.scope.into()),
        );
        set("tenant", self.tenant.map(Into::into));
        set("allowed_cidrs", Some(self.from.into()));
        let end = self.expires.map(duration::from_now);
        set("expires_at", end.map(Into::into));
        body
    }
}

impl Revoke {
    /// Ends it, once the person is sure.
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let question = format!("Revoke the key {}?", safe(&self.id));
        session.output.confirm(&question, self.yes)?;
        let request = Request::new(Method::DELETE, ["api-keys", &self.id]);
        session.client.send(request).await?;
        session.output.say("revoked");
        Ok(())
    }
}
