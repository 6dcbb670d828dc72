//! The Rust side of `tests/interop/run.sh`: messages for other libraries to verify, and a verdict
//! on messages that they signed.
//!
//! ```text
//! interop sign                prints signed messages, one JSON object a line
//! interop verify < messages   prints `ok <name>` or `FAILED <name>: <why>` for each such line
//! ```

#![expect(clippy::print_stdout, reason = "its output is its result")]

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, BufRead};
use std::time::SystemTime;

use http::{HeaderMap, HeaderName};
use serde::{Deserialize, Serialize};
use webhooks_core::{SigningKey, StandardKey, Timestamp, signature_header, standard_secret};
use webhooks_receiver::WebhookReceiver;

type Failure = Box<dyn Error>;

/// One request, and whether its receiver should take it.
#[derive(Clone, Serialize, Deserialize)]
struct Message {
    name: String,
    scheme: Scheme,
    secret: String,
    headers: BTreeMap<String, String>,
    body: String,
    valid: bool,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Scheme {
    Timestamped,
    Standard,
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *arguments {
        ["sign"] => sign(),
        ["verify"] => verify(),
        _ => Err("usage: interop sign | verify".into()),
    }
}

fn sign() -> Result<(), Failure> {
    let now = now();
    let long = format!(r#"{{"object":"event","x":"{}"}}"#, "x".repeat(200_000));
    for (name, body) in [
        ("plain", r#"{"id":"evt_1","object":"event","data":{"n":1}}"#),
        (
            "unicode",
            r#"{"id":"évt_你😀","object":"event","x":"\u00e9\"/"}"#,
        ),
        (
            "spaces",
            "{ \"object\" : \"event\",\r\n\t\"id\" : \"evt_1\" }\n",
        ),
        ("long", &long),
    ] {
        for scheme in [Scheme::Timestamped, Scheme::Standard] {
            sign_body(name, scheme, body, now)?;
        }
    }
    Ok(())
}

/// One good message and what should be refused of it.
fn sign_body(name: &str, scheme: Scheme, body: &str, now: i64) -> Result<(), Failure> {
    let (new, old) = (secret(scheme, 1), secret(scheme, 2));
    let say = |what: &str, valid, secrets: &[&str], secret: &str, at, received: &str| {
        print(&Message {
            name: format!("{name}, {what}"),
            scheme,
            secret: secret.into(),
            headers: headers(scheme, secrets, at, body)?,
            body: received.into(),
            valid,
        })
    };
    say("as it was signed", true, &[&new], &new, now, body)?;
    say(
        "while rotating, new secret",
        true,
        &[&new, &old],
        &new,
        now,
        body,
    )?;
    say(
        "while rotating, old secret",
        true,
        &[&new, &old],
        &old,
        now,
        body,
    )?;
    say("another secret", false, &[&new], &old, now, body)?;
    say(
        "another body",
        false,
        &[&new],
        &new,
        now,
        &format!("{body} "),
    )?;
    say("ten minutes old", false, &[&new], &new, now - 600, body)
}

fn secret(scheme: Scheme, n: u8) -> String {
    match scheme {
        Scheme::Timestamped => format!("a plain secret {n} é"),
        Scheme::Standard => standard_secret(&[n; 32]),
    }
}

fn headers(
    scheme: Scheme,
    secrets: &[&str],
    at: i64,
    body: &str,
) -> Result<BTreeMap<String, String>, Failure> {
    let pairs = match scheme {
        Scheme::Timestamped => {
            let keys = secrets.iter().map(|s| SigningKey::new(s.as_bytes()));
            let keys: Vec<_> = keys.collect();
            let header = signature_header(&keys, at, body.as_bytes());
            vec![("x-webhook-signature", header)]
        }
        Scheme::Standard => {
            let mut signatures = Vec::new();
            for secret in secrets {
                let key = StandardKey::new(secret)?;
                signatures.push(key.sign("webhook_1", at, body.as_bytes()));
            }
            vec![
                ("webhook-id", "webhook_1".into()),
                ("webhook-timestamp", at.to_string()),
                ("webhook-signature", signatures.join(" ")),
            ]
        }
    };
    Ok(pairs
        .into_iter()
        .map(|(name, value)| (name.into(), value))
        .collect())
}

fn print(message: &Message) -> Result<(), Failure> {
    println!("{}", serde_json::to_string(message)?);
    Ok(())
}

fn verify() -> Result<(), Failure> {
    for line in io::stdin().lock().lines() {
        let message: Message = serde_json::from_str(&line?)?;
        let mut headers = HeaderMap::new();
        for (name, value) in &message.headers {
            headers.append(name.parse::<HeaderName>()?, value.parse()?);
        }
        let verdict =
            WebhookReceiver::new(&message.secret).verify(&headers, message.body.as_bytes());
        let name = &message.name;
        match verdict {
            Ok(()) if !message.valid => println!("FAILED {name}: taken"),
            Err(error) if message.valid => println!("FAILED {name}: {error}"),
            Ok(()) | Err(_) => println!("ok {name}"),
        }
    }
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the other libraries verify by the wall clock alone"
)]
fn now() -> i64 {
    Timestamp::from(SystemTime::now()).as_secs()
}
