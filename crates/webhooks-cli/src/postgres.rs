//! Opens PostgreSQL, over TLS where the URL asks for that.

use std::sync::Arc;

use better_auth_webhooks::storage::PostgresStorage;
use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::encryption;
use crate::failure::Failure;

/// Connections of a process at most.
const CONNECTIONS: usize = 16;
/// For a connection, and for one of the pool to be free.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// Opens a storage, and makes or updates its tables. With the pool that it works on.
///
/// `sslmode=disable` connects in the clear, `require` over TLS alone. `prefer`, the default, connects in the
/// clear to this machine, and elsewhere over TLS where the server has it. Certificates are verified against the
/// roots of web browsers either way, which those of a server on this machine seldom pass.
pub(crate) async fn open(
    url: &str,
    schema: Option<&str>,
) -> Result<(PostgresStorage, Pool), Failure> {
    let mut config: Config = url
        .parse()
        .map_err(|_| Failure::usage("the URL of PostgreSQL cannot be read"))?;
    config.connect_timeout(PATIENCE);
    let tls = tls()?;
    let manager = ManagerConfig {
        recycling_method: RecyclingMethod::Fast,
    };
    let in_clear = is_in_clear(&config);
    let manager = match in_clear {
        true => Manager::from_config(config.clone(), NoTls, manager),
        false => Manager::from_config(config.clone(), tls.clone(), manager),
    };
    let pool = Pool::builder(manager)
        .runtime(Runtime::Tokio1)
        .max_size(CONNECTIONS)
        .wait_timeout(Some(PATIENCE))
        .create_timeout(Some(PATIENCE))
        .recycle_timeout(Some(PATIENCE))
        .build()
        .map_err(|error| Failure::unreachable("no pool of connections", &error))?;
    let builder = PostgresStorage::builder(pool.clone());
    let mut builder = builder.encryption_keys(encryption::keys()?);
    if let Some(schema) = schema {
        builder = builder.schema(schema);
    }
    let builder = match in_clear {
        true => builder.listen(config, NoTls),
        false => builder.listen(config, tls),
    };
    Ok((builder.connect().await?, pool))
}

/// Whether to connect without TLS.
fn is_in_clear(config: &Config) -> bool {
    let is_here = |host: &Host| match host {
        Host::Tcp(name) => {
            let address = name.parse::<std::net::IpAddr>();
            name == "localhost" || address.is_ok_and(|address| address.is_loopback())
        }
        #[cfg(unix)]
        Host::Unix(_) => true,
    };
    match config.get_ssl_mode() {
        SslMode::Disable => true,
        SslMode::Prefer => config.get_hosts().iter().all(is_here),
        _ => false,
    }
}

/// Over TLS, with the roots of web browsers.
fn tls() -> Result<MakeRustlsConnect, Failure> {
    let roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::unreachable("no TLS", &error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}
