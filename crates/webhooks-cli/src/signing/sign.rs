//! `webhooks sign`: the headers that a request needs to be taken by a receiver.

use better_auth_webhooks::SystemClock;
use clap::{Args, ValueEnum};
use serde_json::{Map, Value};
use webhooks_core::{
    Clock, EventId, SIGNATURE_HEADER, STANDARD_ID_HEADER, STANDARD_SIGNATURE_HEADER,
    STANDARD_TIMESTAMP_HEADER, Secret, SigningKey, StandardSigner, Timestamp, signature_header,
};

use super::secrets::SecretArgs;
use crate::duration;
use crate::failure::Failure;
use crate::input;
use crate::output::Output;
use crate::settings::GlobalArgs;

/// How a request is signed.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Scheme {
    /// `X-Webhook-Signature: t=..,v1=..`, with any secret.
    Timestamped,
    /// Standard Webhooks, with a `whsec_` secret or a `whsk_` private key.
    Standard,
}

/// Signs a body as a sender would, without a server.
#[derive(Debug, Args)]
pub(crate) struct Sign {
    #[command(flatten)]
    secrets: SecretArgs,
    /// How it is signed.
    #[arg(long, value_enum, default_value = "standard")]
    scheme: Scheme,
    /// The id of the message, for Standard Webhooks; a new one if it is left out.
    #[arg(long)]
    id: Option<String>,
    /// The time that is signed: RFC 3339, or how long ago; now if it is left out.
    #[arg(long, value_parser = duration::timestamp, value_name = "TIME")]
    at: Option<Timestamp>,
    /// Prints a line for a shell that posts it there by curl, instead of the headers.
    #[arg(long, value_name = "URL")]
    curl: Option<String>,
    /// The body: a text, `@FILE`, or `-` for standard input; byte by byte as it is there.
    body: String,
}

impl Sign {
    /// Signs it, and writes the headers or the line.
    ///
    /// # Errors
    ///
    /// Exit code 2 for a secret that the scheme cannot use, for several secrets, and for what cannot be read.
    pub(crate) fn run(self, global: &GlobalArgs) -> Result<(), Failure> {
        let body = input::bytes(&self.body)?;
        let at = self.at.unwrap_or_else(|| SystemClock.now());
        let id = self.id.unwrap_or_else(|| EventId::new(at).to_string());
        let [secret] = &*self.secrets.read()? else {
            return Err(Failure::usage("one secret signs, several were given"));
        };
        let headers = match self.scheme {
            Scheme::Timestamped => timestamped(secret, at, &body),
            Scheme::Standard => standard(secret, &id, at, &body)?,
        };
        let output = Output::new(global);
        if let Some(url) = &self.curl {
            return output.line(&curl(url, &headers, &self.body, &body)?);
        }
        if output.is_json() {
            let fields = headers.into_iter();
            let fields: Map<_, _> = fields
                .map(|(name, value)| (name.to_owned(), Value::from(value)))
                .collect();
            return output.json(&Value::from(fields).to_string());
        }
        let lines = headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}"));
        output.line(&lines.collect::<Vec<_>>().join("\n"))
    }
}

/// The headers of a request, in the order in which they are shown.
type Headers = Vec<(&'static str, String)>;

/// Those of the own scheme.
fn timestamped(secret: &Secret, at: Timestamp, body: &[u8]) -> Headers {
    let key = SigningKey::new(secret.expose().as_bytes());
    let value = signature_header([&key], at.as_secs(), body);
    vec![(SIGNATURE_HEADER, value)]
}

/// Those of Standard Webhooks.
fn standard(secret: &Secret, id: &str, at: Timestamp, body: &[u8]) -> Result<Headers, Failure> {
    let is_plain = |c: char| c.is_ascii_graphic();
    if !(1..=256).contains(&id.len()) || !id.chars().all(is_plain) {
        return Err(Failure::usage(
            "--id needs 1 to 256 letters, digits or signs",
        ));
    }
    let signer = StandardSigner::new(secret.expose());
    let signer = signer.map_err(|error| Failure::usage(error.to_string()))?;
    Ok(vec![
        (STANDARD_ID_HEADER, id.to_owned()),
        (STANDARD_TIMESTAMP_HEADER, at.as_secs().to_string()),
        (
            STANDARD_SIGNATURE_HEADER,
            signer.sign(id, at.as_secs(), body),
        ),
    ])
}

/// A line for a shell. What came from a file is read from there again, byte by byte.
fn curl(url: &str, headers: &Headers, told: &str, body: &[u8]) -> Result<String, Failure> {
    let mut words = vec!["curl".to_owned(), quoted(url)];
    let content_type = ("content-type", "application/json".to_owned());
    for (name, value) in std::iter::once(&content_type).chain(headers) {
        words.extend(["--header".to_owned(), quoted(&format!("{name}: {value}"))]);
    }
    words.push("--data-binary".to_owned());
    words.push(match std::str::from_utf8(body) {
        _ if told.starts_with('@') => quoted(told),
        // curl reads a file where a text begins so.
        Ok(text) if !text.starts_with('@') && !text.contains('\0') => quoted(text),
        _ => {
            return Err(Failure::usage(
                "--curl needs a body that is a text, or @FILE",
            ));
        }
    });
    Ok(words.join(" "))
}

/// A word that a POSIX shell takes as it is (XCU 2.2.2).
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
