//! `webhooks event-types`: the catalogue of what can be sent.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Map, Value};

use crate::client::Request;
use crate::failure::Failure;
use crate::output::{Column, safe};
use crate::session::{Limit, Session};
use crate::{input, toml_text};

/// What is listed of each.
const COLUMNS: &[Column] = &[
    Column::new("NAME", "/name"),
    Column::new("GROUP", "/group"),
    Column::new("TITLE", "/title"),
    Column::new("VALIDATE", "/validate"),
    Column::new("DEPRECATED", "/deprecated"),
];

/// What is shown of one.
const FIELDS: &[Column] = &[
    Column::new("NAME", "/name"),
    Column::new("TITLE", "/title"),
    Column::new("DESCRIPTION", "/description"),
    Column::new("GROUP", "/group"),
    Column::new("SCHEMA", "/schema"),
    Column::new("EXAMPLES", "/examples"),
    Column::new("DEPRECATED", "/deprecated"),
    Column::new("ARCHIVED", "/archived"),
    Column::new("VISIBLE TO", "/visible_to"),
    Column::new("VALIDATE", "/validate"),
    Column::new("REVISION", "/revision"),
    Column::new("CREATED AT", "/created_at"),
    Column::new("UPDATED AT", "/updated_at"),
];

/// What is shown of an import.
const IMPORTED: &[Column] = &[
    Column::new("CREATED", "/created"),
    Column::new("CHANGED", "/changed"),
    Column::new("SAME", "/same"),
];

/// Sees to the catalogue of event types.
#[derive(Debug, Subcommand)]
pub(crate) enum EventTypes {
    /// Lists event types, by name.
    List(List),
    /// Shows one.
    Get(Name),
    /// Defines one, or changes what flags name.
    Put(Box<Put>),
    /// Offers one no more. Events of it can still be sent.
    #[command(visible_alias = "delete")]
    Rm(Remove),
    /// Takes them from an OpenAPI 3.1 document with `webhooks`, or from JSON Schemas by name.
    Import(Import),
    /// Prints them as an OpenAPI 3.1 document.
    Export(Export),
}

/// Which event types.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Those with this in their name, title or description.
    #[arg(short = 'Q', long = "query", value_name = "TEXT")]
    query: Option<String>,
    /// Those that are listed under this.
    #[arg(long)]
    group: Option<String>,
    /// Those that are not offered any more.
    #[arg(long)]
    archived: bool,
    #[command(flatten)]
    limit: Limit,
}

/// One event type.
#[derive(Debug, Args)]
pub(crate) struct Name {
    /// The type, as in `user.created`.
    name: String,
}

/// A definition.
#[derive(Debug, Args)]
pub(crate) struct Put {
    /// The type, as in `user.created`.
    name: String,
    /// The whole definition: TOML, or JSON if its name ends in `.json`. Without it flags change what is there.
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// What people call it.
    #[arg(long)]
    title: Option<String>,
    /// When such events are sent.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// What it is listed under.
    #[arg(long)]
    group: Option<String>,
    /// The JSON Schema of its data: `JSON`, `@FILE` or `-`.
    #[arg(long, value_name = "JSON")]
    schema: Option<String>,
    /// Data of such an event: `JSON` or `@FILE`. Can be given several times.
    #[arg(long = "example", value_name = "JSON")]
    examples: Vec<String>,
    /// What becomes of an event whose data does not follow the schema: `off`, `warn` or `reject`.
    #[arg(long)]
    validate: Option<String>,
    /// Whether there is a better one.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    deprecated: Option<bool>,
}

/// A type that goes.
#[derive(Debug, Args)]
pub(crate) struct Remove {
    /// The type, as in `user.created`.
    name: String,
    /// Drops it from the catalogue, instead of keeping it as one that is not offered any more.
    #[arg(long)]
    purge: bool,
    /// Asks nothing.
    #[arg(long)]
    yes: bool,
}

/// A document that is taken.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The document, in JSON; `-` is standard input.
    file: PathBuf,
    /// Shows what would change, and changes nothing.
    #[arg(long)]
    dry_run: bool,
}

/// A document that is made.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// Those that are listed under this.
    #[arg(long)]
    group: Option<String>,
}

impl EventTypes {
    /// Does it.
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::List(list) => {
                let request = Request::get(["event-types"])
                    .maybe("q", list.query)
                    .maybe("group", list.group)
                    .maybe("archived", list.archived.then_some(true));
                session.list(request, COLUMNS, list.limit).await
            }
            Self::Get(Name { name }) => {
                let request = Request::get(["event-types", &name]);
                session.show(request, FIELDS).await
            }
            Self::Put(put) => put.run(session).await,
            Self::Rm(remove) => remove.run(session).await,
            Self::Import(import) => import.run(session).await,
            Self::Export(Export { group }) => {
                let request = Request::get(["event-types", "export"]).maybe("group", group);
                let reply = session.client.send(request).await?;
                session.output.json(&String::from_utf8_lossy(&reply.body))
            }
        }
    }
}

impl Put {
    /// Saves it, unless somebody else changes it meanwhile.
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let path = ["event-types", self.name.as_str()];
        let stored = match session.client.send(Request::get(path)).await {
            Ok(stored) => Some(stored),
            Err(failure) if failure.is_not_found() => None,
            Err(failure) => return Err(failure),
        };
        let mut fields = match (&self.file, &stored) {
            (Some(file), _) => read(file)?,
            (None, Some(stored)) => stored.read()?,
            (None, None) => Map::new(),
        };
        let etag = stored.map(|stored| stored.etag()).transpose()?;
        let request = Request::new(Method::PUT, path);
        let request = match etag {
            Some(etag) => request.if_match(etag),
            None => request.if_absent(),
        };
        self.over(&mut fields)?;
        session.show(request.json(&fields)?, FIELDS).await
    }

    /// Writes what flags say over a definition.
    fn over(self, fields: &mut Map<String, Value>) -> Result<(), Failure> {
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                fields.insert(name.to_owned(), value);
            }
        };
        set("title", self.title.map(Into::into));
        set("description", self.description.map(Into::into));
        set("group", self.group.map(Into::into));
        set("validate", self.validate.map(Into::into));
        set("deprecated", self.deprecated.map(Into::into));
        set("schema", self.schema.as_deref().map(value).transpose()?);
        let examples = self.examples.iter().map(|of| value(of));
        let examples: Vec<Value> = examples.collect::<Result<_, _>>()?;
        set("examples", (!examples.is_empty()).then(|| examples.into()));
        Ok(())
    }
}

/// What `JSON`, `@FILE` or `-` stands for.
fn value(of: &str) -> Result<Value, Failure> {
    let json = input::json(of)?;
    let read = serde_json::from_str(json.get());
    read.map_err(|error| Failure::usage(format!("the JSON cannot be read: {error}")))
}

/// The definition in a file.
fn read(path: &Path) -> Result<Map<String, Value>, Failure> {
    let text = input::file(path)?;
    let is_json = path
        .extension()
        .is_some_and(|of| of.eq_ignore_ascii_case("json"));
    match is_json {
        true => serde_json::from_str(&text)
            .map_err(|error| Failure::usage(format!("{}: {error}", path.display()))),
        false => toml_text::read(path, &text),
    }
}

impl Remove {
    /// Archives or drops it, unless somebody changes it meanwhile.
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let path = ["event-types", self.name.as_str()];
        let stored = session.client.send(Request::get(path)).await?;
        if self.purge {
            let question = format!("Drop {} from the catalogue?", safe(&self.name));
            session.output.confirm(&question, self.yes)?;
        }
        let request = Request::new(Method::DELETE, path)
            .maybe("purge", self.purge.then_some(true))
            .if_match(stored.etag()?);
        session.client.send(request).await?;
        session
            .output
            .say(if self.purge { "dropped" } else { "archived" });
        Ok(())
    }
}

impl Import {
    /// Sends the document, and tells what changed.
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let text = input::file(&self.file)?;
        let request = Request::post(["event-types", "import"])
            .maybe("dry_run", self.dry_run.then_some(true))
            .body("application/json", text);
        session.show(request, IMPORTED).await
    }
}
