//! The secrets that a command signs or verifies with.

use std::path::PathBuf;

use clap::Args;
use webhooks_core::Secret;

use crate::failure::Failure;
use crate::input;

/// Where a secret may stand, so that it need not be in the list of processes.
const VARIABLE: &str = "WEBHOOKS_SECRET";

/// Secrets, by flags, files or the environment.
#[derive(Debug, Args)]
pub(crate) struct SecretArgs {
    /// A secret, or to verify with a public key (`whpk_..`). Others on the machine see the flags of a
    /// process: better `--secret-file`, or `WEBHOOKS_SECRET`. Can be given several times.
    #[arg(long, value_name = "SECRET")]
    secret: Vec<Secret>,
    /// A file with a secret; `-` is standard input. Can be given several times.
    #[arg(long, value_name = "FILE")]
    secret_file: Vec<PathBuf>,
}

impl SecretArgs {
    /// All of them, those of flags first; that of the environment counts if there is no other.
    ///
    /// # Errors
    ///
    /// Exit code 2 for a file that cannot be read, and where there is no secret at all.
    pub(super) fn read(self) -> Result<Vec<Secret>, Failure> {
        let secrets = self.read_any()?;
        match secrets.is_empty() {
            false => Ok(secrets),
            true => Err(Failure::usage(format!(
                "a secret is needed: --secret-file, --secret or {VARIABLE}"
            ))),
        }
    }

    /// All of them, perhaps none.
    ///
    /// # Errors
    ///
    /// Exit code 2 for a file that cannot be read.
    pub(crate) fn read_any(self) -> Result<Vec<Secret>, Failure> {
        let mut secrets = self.secret;
        for path in &self.secret_file {
            secrets.push(input::secret(path)?);
        }
        if secrets.is_empty() {
            let text = std::env::var(VARIABLE).unwrap_or_default();
            secrets.extend((!text.is_empty()).then(|| Secret::from(text)));
        }
        Ok(secrets)
    }
}
