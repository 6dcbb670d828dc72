//! The file with settings, in TOML.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{Deserializer, Error};
use webhooks_core::Secret;

use super::global::Network;
use crate::failure::Failure;
use crate::storage_url::StorageUrl;
use crate::toml_text;

/// The name in the folder in which a command runs.
const HERE: &str = "webhooks.toml";

/// What the file says.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct File {
    /// The profile that counts if none is asked for.
    pub(super) profile: Option<String>,
    /// Servers and storages by name.
    pub(super) profiles: BTreeMap<String, Profile>,
    /// What `serve` starts with.
    pub(crate) serve: ServeFile,
    /// Where it was read.
    #[serde(skip)]
    pub(super) path: PathBuf,
}

/// A server with its key, or a storage.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Profile {
    /// The address of a server.
    pub(super) server: Option<String>,
    /// The key for it. The file must be its owner's alone then.
    #[serde(deserialize_with = "secret")]
    pub(super) key: Option<Secret>,
    /// A program that prints the key, and its arguments.
    pub(super) key_command: Option<Vec<String>>,
    /// A storage, in place of a server.
    #[serde(deserialize_with = "storage")]
    pub(super) storage: Option<StorageUrl>,
    /// Which addresses endpoints may have, with a storage.
    pub(super) network: Option<Network>,
}

/// What `serve` starts with; each as its flag.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ServeFile {
    /// Where to listen.
    pub(crate) listen: Option<SocketAddr>,
    /// Where everything is kept.
    #[serde(deserialize_with = "storage")]
    pub(crate) storage: Option<StorageUrl>,
    /// A file with the key that opens everything.
    pub(crate) root_key_file: Option<PathBuf>,
    /// Which addresses endpoints may have.
    pub(crate) network: Option<Network>,
    /// Claimers of deliveries.
    pub(crate) workers: Option<usize>,
    /// The path under which the API is.
    pub(crate) prefix: Option<String>,
    /// Where to tell numbers for Prometheus.
    pub(crate) metrics_listen: Option<SocketAddr>,
    /// Proxies that are believed whom they forward.
    pub(crate) trusted_proxies: Option<Vec<ipnet::IpNet>>,
    /// How long what has begun may take at the end.
    pub(crate) shutdown_seconds: Option<u64>,
}

impl File {
    /// Reads the file that is named, or the first of those that are looked for. There need not be one.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, an unknown key or a value of another kind with its place, a key in a file
    /// that others can read, and a program in a file that was only found.
    pub(crate) fn read(named: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = named.map(Path::to_owned).or_else(found) else {
            return Ok(Self::default());
        };
        let text = std::fs::read_to_string(&path);
        let text = text.map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
        let mut file: Self = toml_text::read(&path, &text)?;
        file.path = path;
        if file.profiles.values().any(|profile| profile.key.is_some()) {
            file.needs_to_be_private()?;
        }
        // Whoever puts a file into a folder must not have programs of theirs run by who works there.
        let is_found_here = named.is_none() && file.path == Path::new(HERE);
        let runs = |profile: &Profile| profile.key_command.is_some();
        if is_found_here && file.profiles.values().any(runs) {
            let text = "key_command counts in a file of --config and in your own alone: \
                        this one may have come with the folder";
            return Err(Failure::usage(format!("{HERE}: {text}")));
        }
        Ok(file)
    }

    /// Refuses a file with a key that others can read.
    #[cfg(unix)]
    fn needs_to_be_private(&self) -> Result<(), Failure> {
        use std::os::unix::fs::PermissionsExt;
        let path = self.path.display();
        let metadata = std::fs::metadata(&self.path)
            .map_err(|error| Failure::usage(format!("{path}: {error}")))?;
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 == 0 {
            return Ok(());
        }
        Err(Failure::usage(format!(
            "{path} has a key and mode {mode:04o}: it needs 0600 (chmod 600 {path})"
        )))
    }

    /// What others may do with a file is not told by a mode here.
    #[cfg(not(unix))]
    #[expect(clippy::unnecessary_wraps, reason = "as on Unix")]
    const fn needs_to_be_private(&self) -> Result<(), Failure> {
        Ok(())
    }
}

/// The first file of those that are looked for.
fn found() -> Option<PathBuf> {
    let here = PathBuf::from(HERE);
    if here.is_file() {
        return Some(here);
    }
    let of = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let folder = of("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| of("HOME").map(|home| Path::new(&home).join(".config")))?;
    Some(folder.join("webhooks").join("config.toml")).filter(|path| path.is_file())
}

/// A text that is never shown.
fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Secret>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.map(Secret::from))
}

/// The URL of a storage.
fn storage<'de, D: Deserializer<'de>>(from: D) -> Result<Option<StorageUrl>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    let read = text.map(|text| text.parse::<StorageUrl>());
    read.transpose().map_err(D::Error::custom)
}
