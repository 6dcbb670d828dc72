//! Webhooks at work, in two ways.
//!
//! `quickstart` starts four local receivers (a healthy one, one that fails twice and then works,
//! one that always fails, a slow one), sends them a few hundred events, and shows what became of
//! each; it ends with 0 only if every count is as it should be.
//!
//! `quickstart --events FILE.ndjson --endpoint URL --secret S` sends the events of a file, one
//! `{"event": .., "data": ..}` a line (`-` is standard input), to an endpoint of yours.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program talks to a person"
)]

mod demo;
mod receivers;
mod send_file;

use std::process::ExitCode;

const USAGE: &str = "usage: quickstart [--events FILE.ndjson|- --endpoint URL --secret SECRET]";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let ended = match arguments_of(&arguments) {
        Ok(None) => demo::run().await,
        Ok(Some(job)) => send_file::run(&job).await,
        Err(text) => {
            eprintln!("{text}\n{USAGE}");
            return ExitCode::from(2);
        }
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

fn arguments_of(arguments: &[String]) -> Result<Option<send_file::Job>, String> {
    if arguments.is_empty() {
        return Ok(None);
    }
    let (mut events, mut endpoint, mut secret) = (None, None, None);
    let mut rest = arguments.iter();
    while let Some(name) = rest.next() {
        let place = match name.as_str() {
            "--events" => &mut events,
            "--endpoint" => &mut endpoint,
            "--secret" => &mut secret,
            _ => return Err(format!("unknown argument {name:?}")),
        };
        *place = Some(
            rest.next()
                .ok_or_else(|| format!("{name} needs a value"))?
                .clone(),
        );
    }
    match (events, endpoint, secret) {
        (Some(events), Some(endpoint), Some(secret)) => Ok(Some(send_file::Job {
            events,
            endpoint,
            secret,
        })),
        _ => Err("--events, --endpoint and --secret go together".into()),
    }
}
