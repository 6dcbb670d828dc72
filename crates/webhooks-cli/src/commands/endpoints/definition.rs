//! An endpoint as flags define it.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::{duration, input};

/// What flags say of an endpoint; what they leave out has its default, or stays.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Definition {
    /// Event types that it takes: exact, `user.*`, or `*`. Can be given several times.
    #[arg(long, value_name = "TYPE", value_delimiter = ',')]
    events: Vec<String>,
    /// Whose endpoint it is: it takes events of this tenant alone.
    #[arg(long)]
    tenant: Option<String>,
    /// What people call it.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// What a service keeps with it. Can be given several times.
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    metadata: Vec<(String, String)>,
    /// A further header of its requests. Its value is never shown. Can be given several times.
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = pair)]
    headers: Vec<(String, String)>,
    /// A file with the secret that signs its requests; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// The deadline of one attempt; 0s for the system's.
    #[arg(long, value_parser = duration::read, value_name = "TIME")]
    timeout: Option<Duration>,
    /// Requests a second, and at once if it says so.
    #[arg(long, value_name = "N[/BURST]", value_parser = rate)]
    rate_limit: Option<(u32, u32)>,
    /// How requests are signed: `standard` or `timestamped`.
    #[arg(long, value_name = "SCHEME")]
    signature: Option<String>,
    /// Which of its deliveries go one after another: `none`, `key` or `all`.
    #[arg(long)]
    ordering: Option<String>,
    /// Fields of the API by name, over those of flags: `JSON`, `@FILE` or `-`.
    #[arg(long, value_name = "JSON")]
    fields: Option<String>,
}

impl Definition {
    /// The fields that flags name, as the API has them.
    pub(super) fn into_fields(self) -> Result<Map<String, Value>, Failure> {
        let mut fields = Map::new();
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                fields.insert(name.to_owned(), value);
            }
        };
        let many = |of: Vec<(String, String)>| {
            let pairs = of
                .into_iter()
                .map(|(name, value)| (name, Value::from(value)));
            Some(Value::Object(pairs.collect())).filter(|pairs| *pairs != json!({}))
        };
        set(
            "events",
            (!self.events.is_empty()).then(|| self.events.into()),
        );
        set("tenant", self.tenant.map(Into::into));
        set("description", self.description.map(Into::into));
        set("metadata", many(self.metadata));
        set("headers", many(self.headers));
        set(
            "timeout_seconds",
            self.timeout.map(|of| of.as_secs().into()),
        );
        set("signature", self.signature.map(Into::into));
        set("ordering", self.ordering.map(Into::into));
        let rate = self
            .rate_limit
            .map(|(rate, burst)| json!({ "requests_per_second": rate, "burst_size": burst }));
        set("rate_limit", rate);
        if let Some(path) = &self.secret_file {
            set("secret", Some(input::secret(path)?.expose().into()));
        }
        if let Some(more) = self.fields {
            let more = input::json(&more)?;
            let more: Map<String, Value> = serde_json::from_str(more.get())
                .map_err(|_| Failure::usage("--fields needs an object"))?;
            fields.extend(more);
        }
        Ok(fields)
    }
}

/// Reads `NAME=VALUE`.
fn pair(text: &str) -> Result<(String, String), String> {
    let split = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let (name, value) = split.ok_or("it needs a name, = and a value")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Reads `N` or `N/BURST`.
fn rate(text: &str) -> Result<(u32, u32), String> {
    let (rate, burst) = text.split_once('/').unwrap_or((text, text));
    let read = |of: &str| of.parse::<u32>();
    let both = read(rate).and_then(|rate| Ok((rate, read(burst)?)));
    both.map_err(|_| "numbers, as in 10 or 10/20".into())
}
