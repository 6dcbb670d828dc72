//! `webhooks deliveries export`.

use clap::{Args, ValueEnum};
use futures_util::StreamExt;

use crate::body_lines::BodyLines;
use crate::client::Request;
use crate::commands::delivery_filter::DeliveryFilterArgs;
use crate::failure::Failure;
use crate::output::{json_safe, safe};
use crate::session::Session;

/// What is exported, and how.
#[derive(Debug, Args)]
pub(crate) struct Export {
    #[command(flatten)]
    filter: DeliveryFilterArgs,
    /// JSON that the data of the event must contain.
    #[arg(long, value_name = "JSON")]
    data: Option<String>,
    /// What a row is written as.
    #[arg(long, value_enum, default_value_t = Format::Ndjson)]
    format: Format,
    /// What comes with each: `attempts`, `payload` or both.
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    include: Vec<String>,
}

/// What a row is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One JSON object a line.
    Ndjson,
    /// Comma-separated values, with a heading.
    Csv,
}

impl Export {
    /// Writes it as it comes. What a program reads is the server's answer to the byte.
    pub(super) async fn run(self, session: &Session) -> Result<(), Failure> {
        let format = match self.format {
            Format::Ndjson => "ndjson",
            Format::Csv => "csv",
        };
        let request = self.filter.ask(Request::get(["deliveries", "export"]));
        let request = request
            .maybe("data", self.data)
            .query("format", format)
            .maybe(
                "include",
                (!self.include.is_empty()).then(|| self.include.join(",")),
            );
        let body = session.client.stream(request).await?.into_body();
        if session.output.is_terminal() {
            return shown(session, BodyLines::new(body), self.format).await;
        }
        let mut bytes = body.into_data_stream();
        while let Some(bytes) = bytes.next().await {
            let cut = |error| Failure::unreachable("the export ends early", &error);
            session.output.bytes(&bytes.map_err(cut)?)?;
        }
        Ok(())
    }
}

/// Writes it for a terminal, which must obey nothing in it.
async fn shown(session: &Session, mut lines: BodyLines, format: Format) -> Result<(), Failure> {
    while let Some(line) = lines.next().await? {
        let line = String::from_utf8_lossy(&line);
        match format {
            Format::Ndjson => session.output.line(&json_safe(&line))?,
            Format::Csv => session.output.line(&safe(&line))?,
        }
    }
    Ok(())
}
