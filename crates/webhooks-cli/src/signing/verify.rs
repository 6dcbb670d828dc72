//! `webhooks verify`: whether a captured request was signed with a secret, and if not, why.

use std::path::PathBuf;
use std::time::Duration;

use better_auth_webhooks::receiver::{DEFAULT_TOLERANCE, WebhookReceiver};
use better_auth_webhooks::{SystemClock, Timestamp};
use clap::Args;
use http::HeaderMap;
use serde_json::json;
use webhooks_core::{Clock, SIGNATURE_HEADER, STANDARD_ID_HEADER, STANDARD_TIMESTAMP_HEADER};

use super::request_file::CapturedRequest;
use super::secrets::SecretArgs;
use crate::duration;
use crate::failure::Failure;
use crate::output::{Column, Output};
use crate::settings::GlobalArgs;

/// What is told of a request that is verified.
const FIELDS: &[Column] = &[
    Column::new("VERIFIED", "/verified"),
    Column::new("SCHEME", "/scheme"),
    Column::new("SIGNED AT", "/signed_at"),
    Column::new("SIGNED BYTES", "/signed_bytes"),
];

/// Verifies the signature of a request that was captured, without a server.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    secrets: SecretArgs,
    /// A file with the request: headers, an empty line, and the body byte by byte.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["headers", "body"])]
    request: Option<PathBuf>,
    /// A file with the headers, `Name: value` line by line.
    #[arg(
        long,
        value_name = "FILE",
        requires = "body",
        required_unless_present = "request"
    )]
    headers: Option<PathBuf>,
    /// A file with the body, byte by byte; `-` is standard input.
    #[arg(long, value_name = "FILE", requires = "headers")]
    body: Option<PathBuf>,
    /// When it is verified: RFC 3339, or how long ago; now if it is left out.
    #[arg(long, value_parser = duration::timestamp, value_name = "TIME")]
    at: Option<Timestamp>,
    /// How far the time of the signature may be from that, either way; 5m if it is left out.
    #[arg(long, value_parser = duration::read, value_name = "TIME")]
    tolerance: Option<Duration>,
}

impl Verify {
    /// Verifies it. Exit code 1 where it is not verified, with the check that failed, the number of bytes that
    /// are signed and the distance of the time; never with a secret or the signature that would be right.
    ///
    /// # Errors
    ///
    /// Exit code 1 for a request that is not verified, 2 for files and flags that cannot be read.
    pub(crate) fn run(self, global: &GlobalArgs) -> Result<(), Failure> {
        let secrets = self.secrets.read()?;
        let request = match (&self.request, &self.headers, &self.body) {
            (Some(request), ..) => CapturedRequest::read(request)?,
            (None, Some(headers), Some(body)) => CapturedRequest::of_two(headers, body)?,
            _ => {
                return Err(Failure::usage(
                    "--request, or --headers and --body, are needed",
                ));
            }
        };
        let at = self.at.unwrap_or_else(|| SystemClock.now());
        let receiver = WebhookReceiver::new("")
            .with_secrets(secrets.iter().map(|secret| secret.expose().to_owned()))
            .with_tolerance(self.tolerance.unwrap_or(DEFAULT_TOLERANCE));
        let signed = Signed::of(&request);
        match receiver.verify_at(&request.headers, &request.body, at.as_secs()) {
            Ok(()) => {
                let told = json!({
                    "verified": true,
                    "scheme": signed.scheme,
                    "signed_at": signed.at.map(|at| at.to_string()),
                    "signed_bytes": signed.bytes,
                });
                let output = Output::new(global);
                match output.is_json() {
                    true => output.json(&told.to_string()),
                    false => output.fields(FIELDS, &told),
                }
            }
            Err(error) => {
                let (code, scheme) = (error.code(), signed.scheme);
                let time = signed.distance(at);
                Err(Failure::failed(format!(
                    "not verified: {error} ({code}); {scheme}, {} bytes are signed, {time}",
                    signed.bytes
                )))
            }
        }
    }
}

/// What a request says of its signature, true or not.
struct Signed {
    /// Which of both schemes judges it: the own header counts alone where it is there.
    scheme: &'static str,
    /// The time that is signed.
    at: Option<Timestamp>,
    /// The length of the text that is signed.
    bytes: usize,
}

impl Signed {
    /// That of this request.
    fn of(request: &CapturedRequest) -> Self {
        let headers = &request.headers;
        let own = text(headers, SIGNATURE_HEADER);
        let (scheme, time, before) = match own {
            Some(own) => {
                let mut items = own.split(',');
                let time = items.find_map(|item| item.trim().strip_prefix("t="));
                ("timestamped", time, time.map_or(0, str::len) + 1)
            }
            None => {
                let time = text(headers, STANDARD_TIMESTAMP_HEADER);
                let id = text(headers, STANDARD_ID_HEADER).map_or(0, str::len);
                ("standard", time, id + time.map_or(0, str::len) + 2)
            }
        };
        let seconds = time.and_then(|time| time.parse().ok());
        Self {
            scheme,
            at: seconds.map(Timestamp::from_secs),
            bytes: before + request.body.len(),
        }
    }

    /// How far the time of the signature is from this one.
    fn distance(&self, now: Timestamp) -> String {
        match self.at {
            None => "without a time".to_owned(),
            Some(at) if at > now => format!("{} s ahead", at.since(now).as_secs()),
            Some(at) => format!("{} s ago", now.since(at).as_secs()),
        }
    }
}

/// The value of a header.
fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
