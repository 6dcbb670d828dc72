//! `webhooks serve`: the API and the deliveries of one process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use better_auth_webhooks::{NetworkPolicy, WebhookSystem};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::Instant;
use webhooks_core::generate_secret;
use webhooks_server::Server;
use webhooks_telemetry::Telemetry;

use crate::failure::Failure;
use crate::output::Output;
use crate::serve_settings::{SERVER_SECRET, Serve, ServeSettings};
use crate::settings::{GlobalArgs, Network};
use crate::{listener, metrics, storage};

/// A key that was given, or made.
struct RootKey {
    text: String,
    is_made: bool,
}

impl Serve {
    /// Serves until SIGTERM or Ctrl-C.
    pub(crate) async fn run(self, global: &GlobalArgs) -> Result<(), Failure> {
        let settings = ServeSettings::new(&self, global)?;
        if self.print_config {
            let has_root_key = std::env::var_os("WEBHOOKS_ROOT_KEY").is_some();
            return Output::new(global).line(&settings.to_toml(has_root_key));
        }
        // It is as large as all that a server holds, and would lie on the stack of each command.
        Box::pin(settings.serve(&Output::new(global))).await
    }
}

impl ServeSettings {
    /// Serves until SIGTERM or Ctrl-C.
    async fn serve(self, output: &Output) -> Result<(), Failure> {
        // Before anything is opened: a wrong command line changes nothing.
        let key = self.root_key()?;
        let listener = bind(self.listen).await?;
        let scraped = match self.metrics_listen {
            Some(address) => Some(bind(address).await?),
            None => None,
        };
        let storage = storage::open(&self.storage).await?;
        let telemetry = Arc::new(Telemetry::builder().storage(self.storage.kind()).build());
        let system = self.builder(&telemetry).try_build(storage.storage())?;
        let mut server = Server::builder(system.clone())
            .root_key(key.text.clone())
            .trusted_proxies(self.trusted_proxies.clone())
            .telemetry(telemetry.clone())
            .maintenance(storage);
        let secrets = std::env::var(SERVER_SECRET).unwrap_or_default();
        for secret in secrets.split(',').filter(|secret| !secret.is_empty()) {
            server = server.server_secret(secret);
        }
        let server = server.build()?;
        let closer = server.closer();
        let router = self.under_prefix(server.into_router())?;
        let address = listener.local_addr().unwrap_or(self.listen);
        self.tell(output, address, scraped.as_ref(), &key);

        let (stop, stopped) = watch::channel(());
        let patience = Duration::from_secs(self.shutdown_seconds);
        let serving = listener::serve(listener, router, until(stopped.clone()), patience);
        let scraping = async {
            if let Some(listener) = scraped {
                let router = metrics::router(telemetry, system.clone());
                listener::serve(listener, router, until(stopped), patience).await;
            }
        };
        let stopping = async {
            signal().await;
            tracing::info!("ends, once what has begun is answered");
            drop(stop);
            closer.close();
            Instant::now()
        };
        let ((), (), stopped_at) = tokio::join!(serving, scraping, stopping);
        // After the last request: what it has sent may still go out, in what is left of the time.
        let left = patience.saturating_sub(stopped_at.elapsed());
        let _left_undone = system.shutdown(left).await?;
        Ok(())
    }

    /// The system, as the command line wants it.
    fn builder(&self, telemetry: &Arc<Telemetry>) -> better_auth_webhooks::WebhookSystemBuilder {
        let builder = WebhookSystem::builder().observe(telemetry.clone());
        let builder = match self.network {
            Network::Strict => builder,
            Network::Permissive => builder.network_policy(NetworkPolicy::permissive()),
        };
        match self.workers {
            Some(workers) => builder.workers(workers),
            None => builder,
        }
    }

    /// The key that opens everything.
    fn root_key(&self) -> Result<RootKey, Failure> {
        let given = match &self.root_key_file {
            Some(file) => {
                let text = std::fs::read_to_string(file);
                let text =
                    text.map_err(|error| Failure::usage(format!("{}: {error}", file.display())))?;
                Some(text.trim_end().to_owned())
            }
            None => std::env::var("WEBHOOKS_ROOT_KEY").ok(),
        };
        if let Some(text) = given {
            return Ok(RootKey {
                text,
                is_made: false,
            });
        }
        if !self.listen.ip().is_loopback() {
            let text = format!(
                "{} can be reached by others: give a key in WEBHOOKS_ROOT_KEY or --root-key-file",
                self.listen
            );
            return Err(Failure::usage(text));
        }
        Ok(RootKey {
            text: generate_secret()?,
            is_made: true,
        })
    }

    /// The routes under the prefix that was asked for.
    fn under_prefix(&self, router: Router) -> Result<Router, Failure> {
        let prefix = self.prefix.as_str();
        if prefix.is_empty() {
            return Ok(router);
        }
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "/-._~".contains(c);
        if !prefix.starts_with('/') || !prefix.chars().all(is_plain) {
            let text = "prefix needs a / before letters, digits, and -._~";
            return Err(Failure::usage(text));
        }
        Ok(Router::new().nest_service(prefix, router))
    }

    /// Tells the person who started it where it is. Who did may have closed its output, and goes on all
    /// the same.
    fn tell(
        &self,
        output: &Output,
        address: SocketAddr,
        scraped: Option<&TcpListener>,
        key: &RootKey,
    ) {
        let (prefix, kind) = (&self.prefix, self.storage.kind());
        let mut lines = format!("http://{address}{prefix}/api/v1, on {kind}");
        if let Some(Ok(address)) = scraped.map(TcpListener::local_addr) {
            lines.push_str(&format!("\nhttp://{address}/metrics"));
        }
        if let Err(failure) = output.line(&lines) {
            tracing::debug!(?failure, "nobody reads where it listens");
        }
        if key.is_made {
            // To a person alone: what collects the output of programs must not get it.
            output.warn(&format!("root key of this run: {}", key.text));
        }
    }
}

/// Listens, before anything is opened that would have to be closed again.
async fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|error| Failure::usage(format!("cannot listen on {address}: {error}")))
}

/// Ends when the sender is dropped.
async fn until(mut stopped: watch::Receiver<()>) {
    while stopped.changed().await.is_ok() {}
}

/// Waits for SIGTERM or Ctrl-C.
pub(crate) async fn signal() {
    let interrupted = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminated) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = interrupted => {}
                _ = terminated.recv() => {}
            }
            return;
        }
    }
    let _interrupted = interrupted.await;
}
