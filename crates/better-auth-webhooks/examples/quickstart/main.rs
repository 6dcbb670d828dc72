//! Webhooks at work, in two ways: see `quickstart --help`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program talks to a person"
)]

mod demo;
mod receivers;
mod send_file;

use std::process::ExitCode;

use clap::Parser;

/// Webhooks at work.
///
/// Without arguments it starts four local receivers (a healthy one, one that fails twice and then
/// works, one that always fails, a slow one), sends them a few hundred events, and shows what became
/// of each; it ends with 0 only if every count is as it should be.
///
/// With a file it sends the events in it to an endpoint of yours, and ends with 0 only if all
/// arrived.
#[derive(Parser)]
#[command(name = "quickstart", version)]
struct Arguments {
    #[command(flatten)]
    job: Option<send_file::Job>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let ended = match Arguments::parse().job {
        None => demo::run().await,
        Some(job) => send_file::run(&job).await,
    };
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
