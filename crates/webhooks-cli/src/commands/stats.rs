//! `webhooks stats`: what happened, hour by hour.

use clap::{Args, ValueEnum};
use serde_json::{Map, Value};

use crate::client::Request;
use crate::duration;
use crate::failure::Failure;
use crate::output::Column;
use crate::session::Session;

/// What is shown of each bucket.
const COLUMNS: &[Column] = &[
    Column::new("AT", "/at"),
    Column::new("ENDPOINT", "/endpoint_id"),
    Column::new("SENT", "/sent"),
    Column::new("DELIVERED", "/delivered"),
    Column::new("FAILED", "/failed"),
    Column::new("DEAD", "/dead"),
    Column::new("P50 MS", "/p50_ms"),
    Column::new("P95 MS", "/p95_ms"),
    Column::new("P99 MS", "/p99_ms"),
];

/// Tells what was sent, delivered and given up, and how long it took.
#[derive(Debug, Args)]
pub(crate) struct Stats {
    /// Of this endpoint. Can be given several times.
    #[arg(long, visible_alias = "endpoint-id", value_name = "ID")]
    endpoint: Vec<String>,
    /// From this time on: RFC 3339, or so long ago, as in `24h`.
    #[arg(long, visible_alias = "from", value_parser = duration::time, value_name = "TIME", default_value = "24h")]
    since: String,
    /// Before this time; now if it is left out.
    #[arg(long, value_parser = duration::time, value_name = "TIME")]
    to: Option<String>,
    /// What is counted together: minutes are kept for 48 hours, hours for 90 days.
    #[arg(long, value_enum, default_value_t = Bucket::Hour)]
    bucket: Bucket,
    /// Each endpoint by itself.
    #[arg(long)]
    by_endpoint: bool,
}

/// What is counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Bucket {
    /// A minute.
    Minute,
    /// An hour.
    Hour,
}

impl Stats {
    /// Asks for them, and shows those in which something happened.
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let bucket = match self.bucket {
            Bucket::Minute => "minute",
            Bucket::Hour => "hour",
        };
        let request = Request::get(["stats"])
            .each("endpoint_id", &self.endpoint)
            .query("from", self.since)
            .maybe("to", self.to)
            .query("bucket", bucket)
            .maybe("group_by", self.by_endpoint.then_some("endpoint_id"));
        let reply = session.client.send(request).await?;
        if session.output.is_json() {
            return session.reply(&reply, COLUMNS);
        }
        session.output.rows(COLUMNS, &rows(&reply.value()?))
    }
}

/// A row for each bucket of each series, whose numbers stand in a list for each name.
fn rows(stats: &Value) -> Vec<Value> {
    let series = stats.get("series").and_then(Value::as_array);
    let series = series.map(Vec::as_slice).unwrap_or_default();
    series
        .iter()
        .filter_map(Value::as_object)
        .flat_map(buckets)
        .collect()
}

/// The rows of one series.
fn buckets(series: &Map<String, Value>) -> Vec<Value> {
    let at = series.get("at").and_then(Value::as_array);
    let row = |at: usize| {
        let cell = |(name, value): (&String, &Value)| {
            let value = match value {
                Value::Array(values) => values.get(at).cloned().unwrap_or_default(),
                value => value.clone(),
            };
            (name.clone(), value)
        };
        Value::Object(series.iter().map(cell).collect())
    };
    (0..at.map_or(0, Vec::len)).map(row).collect()
}
