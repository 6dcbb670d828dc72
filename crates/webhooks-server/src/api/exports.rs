//! An export of deliveries: a response that goes on for as long as its client takes it.

use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use better_auth_webhooks::storage::DeliveryRecord;
use bytes::Bytes;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use serde::Deserialize;
use tokio::sync::mpsc;

use super::delivery_params::delivery_params;
use super::export_rows::{ExportRow, Format, Rows};
use super::query::{Query, words};
use super::standing::Standing;
use super::state::Api;
use crate::live::Place;
use crate::ops::{DataFilter, Export};
use crate::problem::{Problem, ProblemBody};

/// Bytes that are handed on together, but for a row that has more.
const CHUNK: usize = 32 << 10;
/// A client that takes nothing for so long has gone.
const PATIENCE: Duration = Duration::from_secs(60);

delivery_params!(ExportParams {
    /// JSON that the data of the event contains. Needs `payloads:read`.
    data: Option<String>,
    /// `ndjson` or `csv`; `ndjson` if it is left out.
    #[param(inline)]
    format: Format,
    /// `attempts`, `payload` or both, with a comma between them.
    include: Vec<String>,
});

/// What comes with each delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Include {
    Attempts,
    Payload,
}

/// All deliveries that match, newest first, at most 1,000,000, as a file. The last line of NDJSON is
/// `{"complete":true}`, or `{"complete":false}` where there is more, or the storage failed; a file without
/// it was cut off. CSV has no such line: the connection is broken off instead. Needs `deliveries:read`;
/// payloads and answers of endpoints need `payloads:read`, too.
#[utoipa::path(
    get, path = "/deliveries/export", tag = "deliveries", params(ExportParams),
    responses(
        (status = OK, description = "The deliveries", content((ExportRow = "application/x-ndjson"), (String = "text/csv"))),
        ProblemBody,
    ),
)]
pub(super) async fn export(
    State(api): State<Api>,
    standing: Standing,
    mut query: Query<ExportParams>,
) -> Result<Response, Problem> {
    let include = words("include", &query.of.include)?;
    let rows = Rows {
        format: query.of.format,
        attempts: include.contains(&Include::Attempts),
        payloads: include.contains(&Include::Payload),
    };
    let mut asked = query.of.filter().query()?;
    asked.with_attempts = rows.attempts;
    let caller = &standing.caller;
    let data = query.of.data.as_deref().map(DataFilter::read).transpose()?;
    let sees = rows.payloads || data.is_some();
    let mut export = api.ops.export(caller, asked, sees)?;
    let place = api.live.exports.take(caller.tenant.as_ref())?;
    // What is wrong from the beginning is answered, and not found at the end of a file.
    let first = api.ops.export_page(caller, &mut export).await?;
    let (to, from) = mpsc::channel(1);
    let exporter = Exporter {
        api,
        standing,
        rows,
        data,
        export,
        chunk: rows.head()?,
        to,
    };
    tokio::spawn(exporter.run(first.unwrap_or_default(), place));
    Ok(response(rows.format, from))
}

/// The response whose body comes from there. One that does not come to its end is broken off.
fn response(format: Format, mut from: mpsc::Receiver<Part>) -> Response {
    let (media_type, disposition) = match format {
        Format::Ndjson => (
            "application/x-ndjson",
            "attachment; filename=\"deliveries.ndjson\"",
        ),
        Format::Csv => (
            "text/csv; charset=utf-8",
            "attachment; filename=\"deliveries.csv\"",
        ),
    };
    let chunks = futures_util::stream::poll_fn(move |context| {
        from.poll_recv(context).map(|part| match part {
            Some(Part::Chunk(chunk)) => Some(Ok(chunk)),
            Some(Part::End) => None,
            None => Some(Err(CutOff)),
        })
    });
    let headers = [
        (CONTENT_TYPE, media_type),
        (CONTENT_DISPOSITION, disposition),
    ];
    (headers, Body::from_stream(chunks)).into_response()
}

/// A part of a body.
#[derive(Debug)]
enum Part {
    Chunk(Bytes),
    End,
}

/// Why a body ends before its end.
#[derive(Debug)]
struct CutOff;

impl std::fmt::Display for CutOff {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the export is not complete")
    }
}

impl std::error::Error for CutOff {}

/// Writes an export to its client.
struct Exporter {
    api: Api,
    standing: Standing,
    rows: Rows,
    /// What the events of rows say.
    data: Option<DataFilter>,
    export: Export,
    /// What was written and not handed on.
    chunk: Vec<u8>,
    to: mpsc::Sender<Part>,
}

impl Exporter {
    /// Writes everything, and tells whether it did.
    async fn run(mut self, first: Vec<DeliveryRecord>, _place: Place) {
        let (closer, to) = (self.api.live.closer.clone(), self.to.clone());
        let complete = tokio::select! {
            written = self.write(first) => match written {
                Some(complete) => complete,
                None => return,
            },
            () = to.closed() => return,
            () = closer.closed() => false,
        };
        // What was begun and not handed on ends in the middle of no row.
        match self.rows.trailer(complete) {
            Some(trailer) => self.chunk.extend(trailer.into_bytes()),
            None if complete => {}
            // Without an end it is broken off.
            None => return,
        }
        if self.hand_on().await.is_some() {
            let _gone = to.send_timeout(Part::End, PATIENCE).await;
        }
    }

    /// Writes page by page; whether that was all. `None` if the client has gone.
    async fn write(&mut self, first: Vec<DeliveryRecord>) -> Option<bool> {
        let mut page = first;
        loop {
            for record in page {
                tokio::task::consume_budget().await;
                if self
                    .data
                    .as_ref()
                    .is_some_and(|data| !data.matches(&record))
                {
                    continue;
                }
                let (rows, caller) = (self.rows, &self.standing.caller);
                if let Err(problem) = rows.write(caller, &record, &mut self.chunk) {
                    tracing::warn!(error = problem.detail(), "a row is not exported");
                    return Some(false);
                }
                if self.chunk.len() >= CHUNK {
                    self.hand_on().await?;
                }
            }
            // The storage is asked for more once there is room for it.
            self.hand_on().await?;
            if !self.standing.holds().await {
                return Some(false);
            }
            let next = self
                .api
                .ops
                .export_page(&self.standing.caller, &mut self.export);
            page = match next.await {
                Ok(Some(page)) => page,
                Ok(None) => return Some(self.export.is_complete()),
                Err(problem) => {
                    tracing::warn!(error = problem.detail(), "an export ends early");
                    return Some(false);
                }
            };
        }
    }

    /// Hands on what was written, once the client has taken what was before; `None` if it has gone.
    async fn hand_on(&mut self) -> Option<()> {
        let room = tokio::time::timeout(PATIENCE, self.to.reserve()).await;
        let room = room.ok()?.ok()?;
        if !self.chunk.is_empty() {
            room.send(Part::Chunk(std::mem::take(&mut self.chunk).into()));
        }
        Some(())
    }
}
