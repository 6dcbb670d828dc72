//! Sends the events of a file, many at a time.
//!
//! A thread reads lines no faster than they are sent. Requests go out side by side; their answers are told in the
//! order of the file, so that whoever is cut off knows which lines are stored. What is held is bounded by
//! [`MOST`] and [`BYTES`] for each request under way.

use std::io::{BufRead, Read};
use std::path::Path;

use futures_util::StreamExt;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::event::Event;
use crate::client::Request;
use crate::failure::Failure;
use crate::input;
use crate::session::Session;

/// Events of one request at most, and their bytes before another is begun.
const MOST: usize = 100;
const BYTES: usize = 1 << 20;
/// The longest line, in bytes.
const MAX_LINE: u64 = 4 << 20;
/// How often a request is tried that the server has no room for.
const TRIES: u32 = 8;

/// Events of a file, and what flags say of all of them.
pub(super) struct Batch<'a> {
    session: &'a Session,
    /// What counts where a line says nothing.
    rest: Event,
    /// Requests at a time.
    concurrency: usize,
}

/// Lines that go in one request.
#[derive(Default)]
struct Lines {
    /// Where each stands in the file, and what is wrong with it if something is.
    numbers: Vec<(usize, Option<String>)>,
    /// Those with which nothing is wrong.
    events: Vec<Event>,
    /// Of all of them together.
    bytes: usize,
}

/// The body of a request.
#[derive(Serialize)]
struct Body<'a> {
    /// 1 to 1,000; fewer are sent, so that an answer comes soon.
    events: &'a [Event],
}

/// The answer to it.
#[derive(Deserialize)]
struct Results {
    /// One for each event, in order.
    results: Vec<Value>,
}

/// What became of the lines so far.
#[derive(Default)]
struct Tally {
    /// Events that are stored now, or were before.
    stored: usize,
    /// Lines that are no event, or that the server refused.
    refused: usize,
}

impl<'a> Batch<'a> {
    /// Events of a file, with what flags say where a line says nothing.
    pub(super) const fn new(session: &'a Session, rest: Event, concurrency: usize) -> Self {
        Self {
            session,
            rest,
            concurrency,
        }
    }

    /// Sends the events, and tells what became of each in the order of the file.
    ///
    /// # Errors
    ///
    /// The first request that fails, after which no more is read; and lines that were refused.
    pub(super) async fn send(self, path: &Path) -> Result<(), Failure> {
        let (to, from) = mpsc::channel(1);
        let (reader, rest) = (input::lines(path)?, self.rest.clone());
        let reading = tokio::task::spawn_blocking(move || read(reader, &rest, &to));
        let all = stream::unfold(from, async |mut from| Some((from.recv().await?, from)));
        let sent = all
            .map(|lines| self.request(lines))
            .buffered(self.concurrency);
        let mut sent = std::pin::pin!(sent);
        let (mut tally, bar) = (Tally::default(), self.session.output.counter());
        while let Some(results) = sent.next().await {
            let results = results.map_err(|failure| {
                let (stored, refused) = (tally.stored, tally.refused);
                failure.about(format!("after {stored} events stored, {refused} refused"))
            })?;
            for (number, result) in results {
                bar.inc(1);
                let told = || self.tell(number, result, &mut tally);
                bar.suspend(told)?;
            }
        }
        bar.finish_and_clear();
        match reading.await {
            Ok(read) => read?,
            Err(error) => return Err(Failure::failed(format!("the file is not read: {error}"))),
        }
        let text = format!("{} events stored, {} refused", tally.stored, tally.refused);
        match tally.refused {
            0 => self.session.output.say(&text),
            _ => return Err(Failure::refused(text)),
        }
        Ok(())
    }

    /// Sends lines, and tells what became of each.
    async fn request(&self, lines: Lines) -> Result<Vec<(usize, Value)>, Failure> {
        let mut results = Vec::new();
        if !lines.events.is_empty() {
            results = self.ask(&lines.events).await?;
        }
        let mut results = results.into_iter();
        let told = lines.numbers.into_iter().map(|(number, wrong)| {
            let result = match wrong {
                Some(wrong) => {
                    json!({ "problem": { "status": 400, "code": "malformed", "detail": wrong } })
                }
                None => results.next().unwrap_or_default(),
            };
            (number, result)
        });
        Ok(told.collect())
    }

    /// Asks until the server has room.
    ///
    /// # Errors
    ///
    /// Any other failure, at once: of a request that was cut off nobody knows whether it was stored, and
    /// events without an idempotency key would be sent twice.
    async fn ask(&self, events: &[Event]) -> Result<Vec<Value>, Failure> {
        let request = Request::post(["events", "batch"]).json(&Body { events })?;
        let mut tries = 1;
        loop {
            let failure = match self.session.client.send(request.clone()).await {
                Ok(reply) => return Ok(reply.read::<Results>()?.results),
                Err(failure) => failure,
            };
            // With either of these nothing of it is stored.
            let has_no_room = failure.is("unavailable") || failure.is("too-many-requests");
            match failure.retry_after() {
                Some(pause) if has_no_room && tries < TRIES => tokio::time::sleep(pause).await,
                _ => return Err(failure),
            }
            tries += 1;
        }
    }

    /// Tells what became of a line: all with `--json`, and otherwise what was refused.
    fn tell(&self, number: usize, mut result: Value, tally: &mut Tally) -> Result<(), Failure> {
        let output = &self.session.output;
        let detail = result.pointer("/problem/detail").and_then(Value::as_str);
        match detail {
            Some(detail) => {
                tally.refused += 1;
                output.warn(&format!("line {number}: {}", crate::output::safe(detail)));
            }
            None => tally.stored += 1,
        }
        if !output.is_json() {
            return Ok(());
        }
        if let Some(fields) = result.as_object_mut() {
            fields.insert("line".to_owned(), number.into());
        }
        output.json(&result.to_string())
    }
}

/// Reads lines, and hands them on in bunches, as fast as they are taken.
fn read(
    mut from: Box<dyn BufRead + Send>,
    rest: &Event,
    to: &mpsc::Sender<Lines>,
) -> Result<(), Failure> {
    let (mut number, mut lines) = (0, Lines::default());
    loop {
        let mut line = Vec::new();
        let limited = from
            .as_mut()
            .take(MAX_LINE + 1)
            .read_until(b'\n', &mut line);
        let length = limited.map_err(|error| Failure::usage(format!("line {number}: {error}")))?;
        number += 1;
        let is_over = length == 0;
        if u64::try_from(length).is_ok_and(|length| length > MAX_LINE) {
            let text = format!("line {number} is longer than {MAX_LINE} bytes");
            return Err(Failure::usage(text));
        }
        if !line.trim_ascii().is_empty() {
            lines.add(number, &line, rest);
        }
        let is_full = lines.numbers.len() >= MOST || lines.bytes >= BYTES;
        let goes = (is_over || is_full) && !lines.numbers.is_empty();
        // Whoever takes them may have ended.
        if goes && to.blocking_send(std::mem::take(&mut lines)).is_err() || is_over {
            return Ok(());
        }
    }
}

impl Lines {
    /// Adds a line.
    fn add(&mut self, number: usize, line: &[u8], rest: &Event) {
        self.bytes += line.len();
        match serde_json::from_slice::<Event>(line) {
            Ok(event) => {
                self.events.push(event.or(rest));
                self.numbers.push((number, None));
            }
            Err(error) => self.numbers.push((number, Some(error.to_string()))),
        }
    }
}
