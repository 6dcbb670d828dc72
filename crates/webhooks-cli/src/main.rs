//! The command `webhooks`.

mod body_lines;
mod client;
mod commands;
mod duration;
mod encryption;
mod failure;
mod input;
mod listen;
mod listener;
mod loopback;
mod metrics;
mod openapi;
mod output;
mod pages;
mod postgres;
mod serve;
mod serve_settings;
mod session;
mod settings;
mod shell;
mod signing;
mod storage;
mod storage_url;
mod toml_text;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::failure::Failure;
use crate::output::Output;
use crate::session::Session;
use crate::settings::GlobalArgs;

/// Webhooks, signed, retried and never lost.
#[derive(Debug, Parser)]
#[command(name = "webhooks", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    global: GlobalArgs,
}

/// What is asked for.
#[derive(Debug, Subcommand)]
enum Command {
    /// Serves the HTTP API, and delivers.
    Serve(Box<serve_settings::Serve>),
    /// Tells what answers, or with `--me` who asks.
    Info(commands::Info),
    /// Sends an event, or those of a file.
    Send(Box<commands::Send>),
    /// Sees to endpoints.
    #[command(subcommand)]
    Endpoints(Box<commands::Endpoints>),
    /// Sees to events, what was sent.
    #[command(subcommand)]
    Events(Box<commands::Events>),
    /// Sees to deliveries, what goes or went to endpoints.
    #[command(subcommand)]
    Deliveries(Box<commands::Deliveries>),
    /// Sees to dead letters, deliveries that were given up.
    #[command(subcommand)]
    DeadLetters(Box<commands::DeadLetters>),
    /// Sees to jobs, which change many deliveries.
    #[command(subcommand)]
    Jobs(Box<commands::Jobs>),
    /// Sees to the catalogue of event types.
    #[command(subcommand)]
    EventTypes(Box<commands::EventTypes>),
    /// Sees to keys of the API, and makes secrets.
    #[command(subcommand)]
    Keys(Box<commands::Keys>),
    /// Tells what was sent, delivered and given up, and how long it took.
    Stats(Box<commands::Stats>),
    /// Looks at a system as a whole, and tells what is wrong and what mends it.
    Check(commands::Check),
    /// Encrypts the credentials of all endpoints with the first of the encryption keys.
    Reencrypt(commands::Reencrypt),
    /// Receives webhooks on this machine, shows them, and hands them on to an app.
    Listen(Box<listen::Listen>),
    /// Verifies the signature of a request that was captured, without a server.
    Verify(signing::Verify),
    /// Signs a body as a sender would, without a server.
    Sign(signing::Sign),
    /// Prints the OpenAPI document of the HTTP API.
    Openapi,
    /// Prints what a shell needs to complete commands and flags.
    Completions(shell::Completions),
    /// Writes manual pages, one for each command.
    Man(shell::Man),
    /// Prints the version.
    Version,
}

impl Command {
    /// Does what is asked for.
    async fn run(self, global: &GlobalArgs) -> Result<(), Failure> {
        match self {
            Self::Serve(serve) => Box::pin(serve.run(global)).await,
            Self::Info(info) => Session::run(global, async |on| info.run(on).await).await,
            Self::Send(send) => Session::run(global, async |on| send.run(on).await).await,
            Self::Endpoints(of) => Session::run(global, async |on| of.run(on).await).await,
            Self::Events(of) => Session::run(global, async |on| of.run(on).await).await,
            Self::Deliveries(of) => Session::run(global, async |on| of.run(on).await).await,
            Self::DeadLetters(of) => of.run(global).await,
            Self::Jobs(of) => Session::run(global, async |on| of.run(on).await).await,
            Self::EventTypes(of) => Session::run(global, async |on| of.run(on).await).await,
            Self::Keys(keys) => keys.run(global).await,
            Self::Stats(stats) => Session::run(global, async |on| stats.run(on).await).await,
            Self::Check(check) => Session::run(global, async |on| check.run(on).await).await,
            Self::Reencrypt(of) => Session::run(global, async |on| of.run(on).await).await,
            Self::Listen(listen) => Box::pin(listen.run(global)).await,
            Self::Verify(verify) => verify.run(global),
            Self::Sign(sign) => sign.run(global),
            Self::Openapi => openapi::print(&Output::new(global)),
            Self::Completions(completions) => completions.run(&Output::new(global)),
            Self::Man(man) => man.run(&Output::new(global)),
            Self::Version => shell::version(&Output::new(global)),
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let output = Output::new(&arguments.global);
    let is_server = matches!(arguments.command, Command::Serve(_));
    log(&arguments.global, is_server);
    // fred and reqwest take the process's own; with one provider in the tree it could not be another.
    let _first = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            output.warn(&format!("webhooks: no runtime: {error}"));
            return ExitCode::from(failure::FAILED);
        }
    };
    let done = runtime.block_on(Box::pin(arguments.command.run(&arguments.global)));
    // What still waits for a database that does not answer must not keep the process.
    runtime.shutdown_background();
    let Err(failure) = done else {
        return ExitCode::SUCCESS;
    };
    let text = failure.to_string();
    if !text.is_empty() {
        // Line by line: what a server says may have several, and none may obey a terminal.
        let lines: Vec<_> = text.lines().map(output::safe).collect();
        output.warn(&format!("webhooks: {}", lines.join("\n")));
    }
    ExitCode::from(failure.code())
}

/// Logs to standard error, which nobody reads as data. What is wrong with a storage in the long run is told
/// by whoever serves it, and not at each look.
fn log(global: &GlobalArgs, is_server: bool) {
    let level = match (global.quiet, global.verbose) {
        (true, _) => tracing::Level::ERROR,
        (false, 0) if !is_server => tracing::Level::ERROR,
        (false, 0) => tracing::Level::WARN,
        (false, 1) => tracing::Level::INFO,
        (false, _) => tracing::Level::DEBUG,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
}
