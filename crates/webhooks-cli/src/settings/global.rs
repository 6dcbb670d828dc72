//! Flags of every command.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Deserialize;
use url::Url;
use webhooks_core::Secret;

use crate::storage_url::StorageUrl;

/// Flags of every command.
#[derive(Clone, Debug, Args)]
pub(crate) struct GlobalArgs {
    /// The server to speak to, as in `https://hooks.example.com`. Also `WEBHOOKS_SERVER`. Without a server,
    /// a storage or a profile it is `http://127.0.0.1:8700`.
    #[arg(
        long,
        value_name = "URL",
        global = true,
        help_heading = "Where",
        conflicts_with = "storage"
    )]
    pub(crate) server: Option<Url>,
    /// The key for the server; better in `WEBHOOKS_KEY`, since others see the flags of a process.
    #[arg(
        long,
        value_name = "KEY",
        global = true,
        help_heading = "Where",
        conflicts_with = "key_file"
    )]
    pub(crate) key: Option<Secret>,
    /// A file with the key for the server. Also `WEBHOOKS_KEY_FILE`.
    #[arg(long, value_name = "FILE", global = true, help_heading = "Where")]
    pub(crate) key_file: Option<PathBuf>,
    /// The storage to work on, without a server: `sqlite:PATH`, `postgres://..?schema=..`,
    /// `redis://..?prefix=..`, `memory:`. Also `WEBHOOKS_STORAGE`. `serve` keeps everything there.
    #[arg(long, value_name = "URL", global = true, help_heading = "Where")]
    pub(crate) storage: Option<StorageUrl>,
    /// Which addresses endpoints may have, of `serve` and with `--storage`. `strict` if it is left out.
    #[arg(
        long,
        env = "WEBHOOKS_NETWORK",
        value_enum,
        global = true,
        help_heading = "Where"
    )]
    pub(crate) network: Option<Network>,
    /// A profile of the file, with a server or a storage. Also `WEBHOOKS_PROFILE`.
    #[arg(long, value_name = "NAME", global = true, help_heading = "Where")]
    pub(crate) profile: Option<String>,
    /// The file with settings. Without it `./webhooks.toml`, or `webhooks/config.toml` under
    /// `$XDG_CONFIG_HOME`.
    #[arg(
        long,
        value_name = "FILE",
        env = "WEBHOOKS_CONFIG",
        global = true,
        help_heading = "Where"
    )]
    pub(crate) config: Option<PathBuf>,
    /// Prints JSON: one document, or one a line for what is many.
    #[arg(long, global = true, help_heading = "Output")]
    pub(crate) json: bool,
    /// Whether there are colours. With `auto` a terminal has them, unless `NO_COLOR` is set.
    #[arg(
        long,
        value_enum,
        default_value = "auto",
        global = true,
        help_heading = "Output"
    )]
    pub(crate) color: ColorChoice,
    /// Says nothing but data and errors.
    #[arg(
        short,
        long,
        global = true,
        help_heading = "Output",
        conflicts_with = "verbose"
    )]
    pub(crate) quiet: bool,
    /// Logs more: once for what goes on, twice for each request.
    #[arg(short, long, action = clap::ArgAction::Count, global = true, help_heading = "Output")]
    pub(crate) verbose: u8,
}

/// Whether there are colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Everywhere.
    Always,
    /// Nowhere.
    Never,
}

/// Which addresses endpoints may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Network {
    /// Public ones, over https.
    Strict,
    /// Any, over http too: for trying, and for networks of one's own.
    Permissive,
}

impl Network {
    /// Its name in flags and files.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Permissive => "permissive",
        }
    }
}
