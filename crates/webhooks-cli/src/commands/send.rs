//! `webhooks send`.

mod batch;
mod event;
mod wait;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use http::HeaderName;

use self::batch::Batch;
use self::event::Event;
use crate::client::Request;
use crate::failure::Failure;
use crate::output::Column;
use crate::session::Session;
use crate::{duration, input};

/// What is shown of an event that is stored.
const RECEIPT: &[Column] = &[
    Column::new("ID", "/id"),
    Column::new("DELIVERIES", "/deliveries"),
    Column::new("DEAD", "/dead"),
    Column::new("DUPLICATE", "/duplicate"),
];

/// The most requests at a time.
const MAX_CONCURRENCY: i64 = 64;

/// An event, or a file of them.
#[derive(Debug, Args)]
pub(crate) struct Send {
    /// Its type, as in `user.created`.
    #[arg(value_name = "TYPE", required_unless_present = "ndjson")]
    event_type: Option<String>,
    /// What it tells: `JSON`, `@FILE` or `-`. It goes out byte by byte as it is.
    #[arg(long, value_name = "JSON", conflicts_with = "ndjson")]
    data: Option<String>,
    /// For whom it is: endpoints of this tenant get it, and those without one.
    #[arg(long)]
    tenant: Option<String>,
    /// The endpoint to which alone it goes, whatever its filters say.
    #[arg(long, value_name = "ID")]
    endpoint: Option<String>,
    /// `low`, `normal`, `high` or `critical`.
    #[arg(long)]
    priority: Option<String>,
    /// After how long it goes.
    #[arg(long, value_parser = duration::read, value_name = "TIME")]
    delay: Option<Duration>,
    /// The same event is stored once, for 24 hours.
    #[arg(long, value_name = "KEY", conflicts_with = "ndjson")]
    idempotency_key: Option<String>,
    /// Sends the events of a file, `-` for standard input: one JSON object a line, as the API takes it. Flags
    /// count where a line says nothing.
    #[arg(long, value_name = "FILE", conflicts_with = "wait")]
    ndjson: Option<PathBuf>,
    /// Requests at a time, of a file: 1 to 64, each with up to 100 events.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=MAX_CONCURRENCY))]
    concurrency: u16,
    /// Waits until each delivery has ended, for so long at most. If one does not arrive the exit code is 1.
    #[arg(long, value_parser = duration::read, value_name = "TIME")]
    wait: Option<Duration>,
}

impl Send {
    /// Sends it, or them.
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let event = Event {
            r#type: self.event_type,
            data: self.data.as_deref().map(input::json).transpose()?,
            tenant: self.tenant,
            endpoint_id: self.endpoint,
            priority: self.priority,
            delay_seconds: self.delay.map(|delay| delay.as_secs()),
            ..Event::default()
        };
        if let Some(path) = &self.ndjson {
            let batch = Batch::new(session, event, usize::from(self.concurrency));
            return batch.send(path).await;
        }
        let mut request = Request::post(["events"]).json(&event)?;
        if let Some(key) = &self.idempotency_key {
            let name = HeaderName::from_static("idempotency-key");
            request = request.header(name, key)?;
        }
        let reply = session.client.send(request).await?;
        match self.wait {
            Some(patience) => wait::until_ended(session, &reply, patience).await,
            None => session.reply(&reply, RECEIPT),
        }
    }
}
