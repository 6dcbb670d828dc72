//! PostgreSQL and Redis of one run: the given ones, or private ones that are stopped at its end.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Child;
use std::thread;
use std::time::Duration;

use crate::Result;
use crate::install::TempFolder;
use crate::postgres::Postgres;
use crate::process::{self, Stop};
use crate::redis::Redis;

/// What names a PostgreSQL server to tests.
pub(crate) const POSTGRES_URL: &str = "WEBHOOKS_TEST_POSTGRES_URL";
/// What names a Redis server to tests.
pub(crate) const REDIS_URL: &str = "WEBHOOKS_TEST_REDIS_URL";

/// `cargo xtask services`: both servers, until Ctrl-C.
pub(crate) fn run() -> Result {
    let stop = Stop::on_signals()?;
    let services = Services::start()?;
    println!("export {POSTGRES_URL}={}", services.postgres_url);
    println!("export {REDIS_URL}={}", services.redis_url);
    println!("running until Ctrl-C");
    stop.wait();
    Ok(())
}

/// Both servers. Dropped in this order: the folder goes last.
#[derive(Debug)]
pub(crate) struct Services {
    pub(crate) postgres_url: String,
    pub(crate) redis_url: String,
    _postgres: Option<Postgres>,
    _redis: Option<Redis>,
    _folder: TempFolder,
}

impl Services {
    /// Takes the servers that the environment names, and starts those that it does not.
    pub(crate) fn start() -> Result<Self> {
        let folder = TempFolder::new("services")?;
        let given = |name| std::env::var(name).ok().filter(|url| !url.is_empty());
        let (postgres_url, postgres) = match given(POSTGRES_URL) {
            Some(url) => (url, None),
            None => {
                let server = Postgres::start(folder.path())?;
                (server.url(), Some(server))
            }
        };
        let (redis_url, redis) = match given(REDIS_URL) {
            Some(url) => (url, None),
            None => {
                let server = Redis::start(folder.path(), &[])?;
                (server.url(), Some(server))
            }
        };
        Ok(Self {
            postgres_url,
            redis_url,
            _postgres: postgres,
            _redis: redis,
            _folder: folder,
        })
    }
}

/// A port of loopback that nobody listens on.
pub(crate) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let address = listener.and_then(|listener| listener.local_addr());
    let address = address.map_err(|e| format!("no free port: {e}"))?;
    Ok(address.port())
}

/// The log of a server, to be written on at its end.
pub(crate) fn log(path: &Path) -> Result<File> {
    let log = File::options().create(true).append(true).open(path);
    log.map_err(|e| format!("cannot open {}: {e}", path.display()))
}

/// What the server has written to its log.
pub(crate) fn told(log: &Path) -> String {
    fs::read_to_string(log).unwrap_or_default()
}

/// Waits until the server is ready; its log is in the error if it ends or takes too long.
pub(crate) fn wait_until_ready(
    name: &str,
    server: &mut Child,
    log: &Path,
    mut is_ready: impl FnMut() -> bool,
) -> Result {
    for _ in 0..300 {
        if let Some(status) = process::poll(server)? {
            return Err(format!("{name} ended with {status}\n{}", told(log)));
        }
        if is_ready() {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(100));
    }
    Err(format!("{name} was not ready within 30 s\n{}", told(log)))
}
