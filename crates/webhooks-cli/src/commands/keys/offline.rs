//! Secrets that are made without a server, of the operating system's random source.

use clap::Args;
use serde_json::{Value, json};
use webhooks_core::{Ed25519Key, EncryptionKeys, generate_secret};

use crate::failure::Failure;
use crate::output::{Column, Output};

/// What is shown of a secret.
const SECRET: &[Column] = &[
    Column::new("SECRET", "/secret"),
    Column::new("PUBLIC KEY", "/public_key"),
];

/// A secret for an endpoint.
#[derive(Debug, Args)]
pub(crate) struct EndpointSecret {
    /// Makes a key pair: receivers verify with its public key, and cannot sign.
    #[arg(long)]
    ed25519: bool,
}

impl EndpointSecret {
    /// Makes one, and writes it.
    pub(super) fn make(self, output: &Output) -> Result<(), Failure> {
        let made = match self.ed25519 {
            true => {
                let key = Ed25519Key::generate()?;
                json!({ "secret": key.secret(), "public_key": key.public_key().to_string() })
            }
            false => json!({ "secret": generate_secret()? }),
        };
        write(output, &made, "secret", SECRET)
    }
}

/// A key that encrypts at rest.
#[derive(Debug, Args)]
pub(crate) struct Encryption {
    /// Its id, which stands beside each value that it encrypts: 1 to 32 of `A-Z a-z 0-9 _ - .`.
    #[arg(long, default_value = "1")]
    id: String,
}

impl Encryption {
    /// Makes one, and writes it.
    pub(super) fn make(self, output: &Output) -> Result<(), Failure> {
        let key = format!("{}:{}", self.id, random()?);
        // It says what is wrong with the id.
        let _key: EncryptionKeys = key.parse()?;
        let columns = [Column::new("KEY", "/key")];
        write(output, &json!({ "key": key }), "key", &columns)
    }
}

/// Makes a root key, and writes it.
pub(super) fn root(output: &Output) -> Result<(), Failure> {
    let columns = [Column::new("KEY", "/key")];
    write(output, &json!({ "key": random()? }), "key", &columns)
}

/// The Base64 of 32 random bytes.
fn random() -> Result<String, Failure> {
    let secret = generate_secret()?;
    // The same bytes without what says that they sign.
    let bytes = secret.strip_prefix("whsec_").unwrap_or(&secret);
    Ok(bytes.to_owned())
}

/// One text alone, unless there is more to say: it goes into files and variables.
fn write(output: &Output, made: &Value, name: &str, fields: &[Column]) -> Result<(), Failure> {
    if output.is_json() {
        return output.json(&made.to_string());
    }
    let only = made.as_object().filter(|fields| fields.len() == 1);
    match only.and_then(|fields| fields.get(name)?.as_str()) {
        Some(text) => output.line(text),
        None => output.fields(fields, made),
    }
}
