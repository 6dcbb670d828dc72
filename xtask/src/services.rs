//! PostgreSQL and Redis of one run: the given ones, or private ones that are stopped at its end.

use crate::Result;
use crate::install::TempFolder;
use crate::postgres::Postgres;
use crate::process::Stop;
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
