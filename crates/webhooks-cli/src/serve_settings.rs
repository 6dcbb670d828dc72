//! What `serve` starts with, once flags, environment and file have been put together.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::Args;
use ipnet::IpNet;

use crate::encryption;
use crate::failure::Failure;
use crate::settings::{File, GlobalArgs, Network};
use crate::storage_url::StorageUrl;

/// Where it listens if nobody says otherwise.
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8700);
/// Where everything is kept if nobody says otherwise.
const STORAGE: &str = "webhooks.db";
/// How long what has begun may take at the end, if nobody says otherwise.
const SHUTDOWN_SECONDS: u64 = 25;

/// Where the secrets are that tokens of tenants are signed with: Base64 of 32 bytes or more, with commas
/// between them. The first one signs, each verifies.
pub(crate) const SERVER_SECRET: &str = "WEBHOOKS_SERVER_SECRET";

/// Serves the HTTP API, and delivers.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Where to listen, `127.0.0.1:8700` if it is left out. Another address than one of this machine alone
    /// needs a key.
    #[arg(long, env = "WEBHOOKS_LISTEN")]
    pub(crate) listen: Option<SocketAddr>,
    /// A file with the key that opens everything, 32 bytes or more. The key itself can be in
    /// `WEBHOOKS_ROOT_KEY`. Without one, and only where nobody else can call, one is made and printed.
    #[arg(long, env = "WEBHOOKS_ROOT_KEY_FILE")]
    pub(crate) root_key_file: Option<PathBuf>,
    /// Claimers of deliveries; 0 serves the API and delivers nothing.
    #[arg(long, env = "WEBHOOKS_WORKERS")]
    pub(crate) workers: Option<usize>,
    /// The path under which the API is, as in `/webhooks`.
    #[arg(long, env = "WEBHOOKS_PREFIX")]
    pub(crate) prefix: Option<String>,
    /// Where to tell numbers for Prometheus, at `/metrics`. Nobody is asked who they are there.
    #[arg(long, env = "WEBHOOKS_METRICS_LISTEN")]
    pub(crate) metrics_listen: Option<SocketAddr>,
    /// Networks of proxies that are believed when they say by `Forwarded` or `X-Forwarded-For` whom they
    /// forward; with commas between them.
    #[arg(long, env = "WEBHOOKS_TRUSTED_PROXIES", value_delimiter = ',')]
    pub(crate) trusted_proxies: Option<Vec<IpNet>>,
    /// How long what has begun may take after SIGTERM, in seconds; 25 if it is left out.
    #[arg(long, env = "WEBHOOKS_SHUTDOWN_SECONDS")]
    pub(crate) shutdown_seconds: Option<u64>,
    /// Prints what counts, from flags, environment and file together, and serves nothing.
    #[arg(long)]
    pub(crate) print_config: bool,
}

/// What `serve` starts with.
#[derive(Debug)]
pub(crate) struct ServeSettings {
    /// Where to listen.
    pub(crate) listen: SocketAddr,
    /// Where everything is kept.
    pub(crate) storage: StorageUrl,
    /// Where the key that opens everything is.
    pub(crate) root_key_file: Option<PathBuf>,
    /// Which addresses endpoints may have.
    pub(crate) network: Network,
    /// Claimers of deliveries; those of the system if it is left out.
    pub(crate) workers: Option<usize>,
    /// Without a slash at its end.
    pub(crate) prefix: String,
    /// Where to tell numbers, if anywhere.
    pub(crate) metrics_listen: Option<SocketAddr>,
    /// Proxies that are believed whom they forward.
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// How long what has begun may take at the end.
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
            trusted_proxies: (serve.trusted_proxies.clone())
                .or(file.trusted_proxies)
                .unwrap_or_default(),
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
        if !self.trusted_proxies.is_empty() {
            let networks = self.trusted_proxies.iter();
            let networks: Vec<_> = networks.map(|of| quoted(&of.to_string())).collect();
            lines.push(format!("trusted_proxies = [{}]", networks.join(", ")));
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
        for variable in [encryption::VARIABLE, SERVER_SECRET] {
            if std::env::var_os(variable).is_some() {
                lines.push(format!("# {variable} = <set>"));
            }
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
