//! `webhooks deliveries tail`: notices, as they come.

use std::time::Duration;

use axum::body::Body;
use clap::Args;
use http::HeaderName;
use serde_json::Value;

use crate::body_lines::BodyLines;
use crate::client::Request;
use crate::failure::Failure;
use crate::output::safe;
use crate::session::Session;

/// Between two tries to come back to a server that went.
const PAUSE: Duration = Duration::from_secs(1);
/// Tries to come back, one after another, before it gives up.
const TRIES: u32 = 30;
/// What is shown of each notice, on one line.
const SHOWN: [&str; 7] = [
    "/notice",
    "/delivery/endpoint_id",
    "/delivery/event_type",
    "/delivery/delivery_id",
    "/delivery/status",
    "/delivery/failure",
    "/reason",
];
/// Notices about deliveries. Others have no place here.
const KINDS: [&str; 4] = ["delivered", "retrying", "dead", "cancelled"];

/// What is listened to.
#[derive(Debug, Args)]
pub(crate) struct Tail {
    /// Deliveries to this endpoint. Can be given several times.
    #[arg(long, visible_alias = "endpoint", value_name = "ID")]
    endpoint_id: Vec<String>,
    /// Deliveries that became so: `delivered`, `scheduled` for another attempt, `dead` or `cancelled`. Can be
    /// given several times.
    #[arg(long, value_delimiter = ',')]
    state: Vec<String>,
}

/// A server-sent event.
#[derive(Debug, Default)]
struct Event {
    name: String,
    data: String,
}

/// A stream of server-sent events.
struct Events {
    lines: BodyLines,
    /// The id of the last one: whoever comes back goes on behind it.
    last_id: Option<String>,
    /// It has said hello: it is one of this API.
    is_known: bool,
}

impl Tail {
    /// Tells notices until Ctrl-C. It comes back to a server that goes, and goes on behind the last notice.
    pub(super) async fn run(self, session: &Session) -> Result<(), Failure> {
        if session.client.is_local() {
            let text = "a storage tells nothing by itself: tail listens to a server, see --server";
            return Err(Failure::usage(text));
        }
        let mut events = Events::new(self.open(session, None).await?);
        loop {
            let ended = self.tell(session, &mut events).await;
            match ended {
                Ok(()) => {}
                // It may come back: what else goes wrong is told by the next try.
                Err(failure) if failure.is_unreachable() => {}
                Err(failure) => return Err(failure),
            }
            if !events.is_known {
                let text = "what answers does not speak this API; is the URL right?";
                return Err(Failure::not_understood(text));
            }
            session.output.say("the stream has ended; coming back");
            let body = self.come_back(session, events.last_id.as_deref()).await?;
            events.lines = BodyLines::new(body);
        }
    }

    /// Begins to listen, behind the notice with this id if there is one.
    async fn open(&self, session: &Session, last_id: Option<&str>) -> Result<Body, Failure> {
        let mut request = Request::get(["stream"])
            .each("endpoint_id", &self.endpoint_id)
            .each("state", &self.state);
        if let Some(id) = last_id {
            request = request.header(HeaderName::from_static("last-event-id"), id)?;
        }
        Ok(session.client.stream(request).await?.into_body())
    }

    /// Listens again to a server that may be about to come back.
    async fn come_back(&self, session: &Session, last_id: Option<&str>) -> Result<Body, Failure> {
        let mut tries = 0;
        loop {
            tokio::time::sleep(PAUSE).await;
            tries += 1;
            match self.open(session, last_id).await {
                Err(failure) if failure.is_unreachable() && tries < TRIES => {}
                opened => return opened,
            }
        }
    }

    /// Tells what a stream tells, until it ends.
    async fn tell(&self, session: &Session, events: &mut Events) -> Result<(), Failure> {
        while let Some(event) = events.next().await? {
            match event.name.as_str() {
                "hello" => events.is_known = true,
                "notice" => notice(session, &event.data)?,
                "missed" => session
                    .output
                    .warn("notices were missed: they came too quickly, or are gone"),
                "ended" => return Ok(()),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Writes a notice: JSON, or the parts that people look for.
fn notice(session: &Session, json: &str) -> Result<(), Failure> {
    let notice: Value =
        serde_json::from_str(json).map_err(|_| Failure::failed("a notice cannot be read"))?;
    let kind = notice.get("notice").and_then(Value::as_str);
    if !kind.is_some_and(|kind| KINDS.contains(&kind)) {
        return Ok(());
    }
    if session.output.is_json() {
        return session.output.json(json);
    }
    let cell = |pointer: &&str| match notice.pointer(pointer) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => safe(text).into_owned(),
        Some(value) => safe(&value.to_string()).into_owned(),
    };
    let cells: Vec<_> = SHOWN.iter().map(cell).collect();
    session.output.line(cells.join("\t").trim_end())
}

impl Events {
    /// The events of this body.
    fn new(body: Body) -> Self {
        Self {
            lines: BodyLines::new(body),
            last_id: None,
            is_known: false,
        }
    }

    /// The next event with data; none at the end.
    async fn next(&mut self) -> Result<Option<Event>, Failure> {
        let mut event = Event::default();
        while let Some(line) = self.lines.next().await? {
            let line = String::from_utf8_lossy(&line);
            if line.is_empty() {
                if !event.data.is_empty() {
                    return Ok(Some(event));
                }
                event = Event::default();
                continue;
            }
            let (name, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match name {
                "event" => event.name = value.to_owned(),
                "id" => self.last_id = Some(value.to_owned()),
                // The server writes its data on one line.
                "data" => event.data = value.to_owned(),
                _ => {}
            }
        }
        Ok(None)
    }
}
