//! The command `webhooks`.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program talks to a person"
)]

mod failure;
mod listener;
mod metrics;
mod openapi;
mod postgres;
mod serve;
mod storage;
mod storage_url;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Webhooks, signed, retried and never lost.
#[derive(Debug, Parser)]
#[command(name = "webhooks", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Logs more: once for what goes on, twice for each request.
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    verbose: u8,
}

/// What is asked for.
#[derive(Debug, Subcommand)]
enum Command {
    /// Serves the HTTP API, and delivers.
    Serve(Box<serve::Serve>),
    /// Prints the OpenAPI document of the HTTP API.
    Openapi,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    log(arguments.verbose);
    // fred takes the process's own; with one provider in the tree it could not be another.
    let _first = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("webhooks: no runtime: {error}");
            return ExitCode::from(failure::FAILED);
        }
    };
    let done = runtime.block_on(async {
        match arguments.command {
            Command::Serve(serve) => serve.run().await,
            Command::Openapi => openapi::print(),
        }
    });
    // What still waits for a database that does not answer must not keep the process.
    runtime.shutdown_background();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("webhooks: {failure}");
            ExitCode::from(failure.code())
        }
    }
}

/// Logs to standard error, which nobody reads as data.
fn log(verbose: u8) {
    let level = match verbose {
        0 => tracing::Level::WARN,
        1 => tracing::Level::INFO,
        _ => tracing::Level::DEBUG,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
}
