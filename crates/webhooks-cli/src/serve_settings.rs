//! What `serve` starts with, once flags, environment and file have been put together.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use crate::failure::Failure;
use crate::serve::Serve;
use crate::settings::{File, GlobalArgs, Network};
use crate::storage_url::StorageUrl;

/// Where it listens if nobody says otherwise.
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8700);
/// Where everything is kept if nobody says otherwise.
const STORAGE: &str = "webhooks.db";
/// How long what has begun may take at the end, if nobody says otherwise.
const SHUTDOWN_SECONDS: u64 = 25;

/// What `serve` starts with.
#[derive(Debug)]
pub(crate) struct ServeSettings {
    pub(crate) listen: SocketAddr,
    pub(crate) storage: StorageUrl,
    pub(crate) root_key_file: Option<PathBuf>,
    pub(crate) network: Network,
    pub(crate) workers: Option<usize>,
    pub(crate) prefix: String,
    pub(crate) metrics_listen: Option<SocketAddr>,
    pub(crate) shutdown_seconds: u64,
}

impl ServeSettings {
    /// The flags and the environment, then the file, then defaults.
    pub(crate) fn new(serve: &Serve, global: &GlobalArgs) -> Result<Self, Failure> {
        if global.server.is_some() || global.profile.is_some() {
            let text = "serve has no --server and no --profile: it reads [serve] of the file";
            return Err(Failure::usage(text));
        }
        let file = File::read(global.config.as_deref())?.serve;
        let storage = global.storage.clone();
        let storage = match storage {
            Some(storage) => Some(storage),
            None => of_environment()?,
        };
        let prefix = serve.prefix.clone().or(file.prefix).unwrap_or_default();
        Ok(Self {
            listen: serve.listen.or(file.listen).unwrap_or(LISTEN),
            storage: storage
                .or(file.storage)
                .unwrap_or_else(|| StorageUrl::Sqlite(STORAGE.into())),
            root_key_file: serve.root_key_file.clone().or(file.root_key_file),
            network: global.network.or(file.network).unwrap_or(Network::Strict),
            workers: serve.workers.or(file.workers),
            prefix: prefix.trim_end_matches('/').to_owned(),
            metrics_listen: serve.metrics_listen.or(file.metrics_listen),
            shutdown_seconds: serve
                .shutdown_seconds
                .or(file.shutdown_seconds)
                .unwrap_or(SHUTDOWN_SECONDS),
        })
    }

    /// What counts, as the file would say it. Secrets are `<set>`.
    pub(crate) fn to_toml(&self, has_root_key: bool) -> String {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let mut lines = vec![
            "[serve]".to_owned(),
            format!("listen = {}", quoted(&self.listen.to_string())),
            format!("storage = {}", quoted(&self.storage.without_secrets())),
            format!("network = {}", quoted(self.network.as_str())),
            format!("prefix = {}", quoted(&self.prefix)),
            format!("shutdown_seconds = {}", self.shutdown_seconds),
        ];
        if let Some(workers) = self.workers {
            lines.push(format!("workers = {workers}"));
        }
        if let Some(address) = self.metrics_listen {
            lines.push(format!("metrics_listen = {}", quoted(&address.to_string())));
        }
        if let Some(file) = &self.root_key_file {
            lines.push(format!(
                "root_key_file = {}",
                quoted(&file.to_string_lossy())
            ));
        }
        if has_root_key {
            lines.push("# WEBHOOKS_ROOT_KEY = <set>".to_owned());
        }
        lines.join("\n")
    }
}

/// The storage that the environment names.
fn of_environment() -> Result<Option<StorageUrl>, Failure> {
    let text = std::env::var("WEBHOOKS_STORAGE").ok();
    let read = text
        .filter(|text| !text.is_empty())
        .map(|text| text.parse());
    let read = read.transpose();
    read.map_err(|error: String| Failure::usage(format!("WEBHOOKS_STORAGE: {error}")))
}
