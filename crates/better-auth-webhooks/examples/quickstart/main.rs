//! Webhooks at work, in two ways: see `quickstart --help`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program talks to a person"
)]

mod database;
mod demo;
mod receivers;
mod send_file;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::database::Database;

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
    /// A file with one event a line, `{"event": "user.created", "data": {..}}`; `-` is standard input.
    #[arg(long, value_name = "FILE", requires_all = ["endpoint", "secret"])]
    events: Option<String>,
    /// Where they go: an http or https URL.
    #[arg(long, value_name = "URL", requires = "events")]
    endpoint: Option<String>,
    /// What signs them.
    #[arg(long, requires = "events")]
    secret: Option<String>,
    /// Keeps the events in this SQLite file, so that the next run goes on with what waits. Without
    /// it they are in a temporary file.
    #[arg(long, value_name = "FILE", requires = "events")]
    database: Option<PathBuf>,
}

impl Arguments {
    fn job(self) -> Option<send_file::Job> {
        Some(send_file::Job {
            events: self.events?,
            endpoint: self.endpoint?,
            secret: self.secret?,
        })
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(mut arguments: Arguments) -> Result<bool, Box<dyn Error>> {
    let database = match arguments.database.take() {
        Some(path) => Database::named(path),
        None => Database::temporary()?,
    };
    match arguments.job() {
        None => demo::run(database.path()).await,
        Some(job) => send_file::run(&job, database.path()).await,
    }
}
