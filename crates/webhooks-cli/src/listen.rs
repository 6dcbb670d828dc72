//! `webhooks listen`: receives webhooks on this machine, shows them, and hands them on to an app.
//!
//! There is no relay: nothing of what arrives leaves the machine unless `--forward-to` says so. A request is
//! verified first, then shown, kept, and forwarded byte by byte. What is not verified is shown with the
//! check that failed, and goes no further: an app under test must not learn to take forged requests.

mod forward;
mod hook;
mod respond;
mod save;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use axum::Router;
use clap::Args;
use tokio::net::TcpListener;
use url::Url;

use self::forward::Forward;
use self::hook::Hook;
use self::respond::Respond;
use self::save::Save;
use crate::failure::Failure;
use crate::output::Output;
use crate::serve::signal;
use crate::settings::GlobalArgs;
use crate::signing::SecretArgs;
use crate::{duration, listener};

/// How long requests that have begun may take after Ctrl-C.
const PATIENCE: Duration = Duration::from_secs(5);

/// Receives webhooks on this machine, shows them, and hands them on to an app.
#[derive(Debug, Args)]
pub(crate) struct Listen {
    /// The port on `127.0.0.1`; 0 takes a free one.
    #[arg(long, default_value_t = 4000)]
    port: u16,
    #[command(flatten)]
    secrets: SecretArgs,
    /// Where what is verified is posted, byte by byte, with its headers. Its answer is the answer.
    #[arg(long, value_name = "URL")]
    forward_to: Option<Url>,
    /// Forwards what is not verified, too.
    #[arg(long, requires = "forward_to")]
    forward_unverified: bool,
    /// Lets `--forward-to` lead to another machine.
    #[arg(long, requires = "forward_to")]
    allow_external: bool,
    /// A file with a secret with which forwarded requests are signed anew, for an app that knows another one.
    #[arg(long, value_name = "FILE", requires = "forward_to")]
    sign_with_file: Option<PathBuf>,
    /// What is answered where nothing is forwarded: a status, and perhaps a body, as in `200:ok`.
    #[arg(long, default_value = "204", value_name = "STATUS[:BODY]")]
    respond: Respond,
    /// How long each answer waits, as in `200ms`.
    #[arg(long, value_parser = duration::read, value_name = "TIME")]
    delay: Option<Duration>,
    /// The part of requests that are answered with 503 instead, from 0 to 1.
    #[arg(long, default_value_t = 0.0, value_parser = rate, value_name = "RATE")]
    fail_rate: f64,
    /// Shows and forwards events of these types alone: exact, `prefix.*` or `*`. Can be given several times.
    #[arg(long, value_delimiter = ',', value_name = "TYPE")]
    events: Vec<String>,
    /// A folder in which each request is kept as a file, for `webhooks verify --request`.
    #[arg(long, value_name = "DIR")]
    save: Option<PathBuf>,
}

impl Listen {
    /// Listens until Ctrl-C, which is its usual end: exit code 0.
    ///
    /// # Errors
    ///
    /// Exit code 2 for flags that do not go together, a port that is taken, and a folder that is none.
    pub(crate) async fn run(self, global: &GlobalArgs) -> Result<(), Failure> {
        let output = Output::new(global);
        let forward = match &self.forward_to {
            Some(to) => Some(Forward::new(
                to,
                self.allow_external,
                self.sign_with_file.as_deref(),
            )?),
            None => None,
        };
        let hook = Hook::new(hook::Rules {
            secrets: self.secrets.read_any()?,
            events: self.events,
            forward,
            forwards_unverified: self.forward_unverified,
            respond: self.respond,
            delay: self.delay.unwrap_or_default(),
            fail_rate: self.fail_rate,
            save: self.save.map(Save::new).transpose()?,
            output,
        })?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let bound = TcpListener::bind(address).await;
        let listener = bound
            .map_err(|error| Failure::usage(format!("cannot listen on {address}: {error}")))?;
        let address = listener.local_addr().unwrap_or(address);
        output.say(&format!(
            "listens on http://{address}/, any path; Ctrl-C ends it"
        ));
        let router = Router::new().fallback(hook::receive).with_state(hook);
        listener::serve(listener, router, signal(), PATIENCE).await;
        Ok(())
    }
}

/// Reads a part of all.
fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok();
    rate.filter(|rate| (0.0..=1.0).contains(rate))
        .ok_or_else(|| "a part from 0 to 1, as in 0.2".into())
}
