//! How fast events go from `send_webhook` to settled, against a bare hyper client that posts the
//! same signed bytes to the same receiver, in the same run.
//!
//! `cargo bench -p webhooks-tests --bench throughput`
#![expect(clippy::print_stdout, reason = "a program talks to a person")]

#[path = "throughput/limit.rs"]
mod limit;
#[path = "throughput/measure.rs"]
mod measure;
#[path = "throughput/scenarios.rs"]
mod scenarios;

use std::error::Error;

use webhooks_tests::{Answer, Sink};

use self::measure::{Figure, median};

/// Rounds of every measurement, in turn, so that the machine's moods are shared.
const ROUNDS: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Runtime::new()?;
    if std::env::args().any(|argument| argument == "--sink") {
        return runtime.block_on(sink());
    }
    runtime.block_on(compare())
}

/// The receiver, in a process of its own: answers 204 at once and tells its port.
async fn sink() -> Result<(), Box<dyn Error>> {
    let sink = Sink::start(Answer::Status(204)).await;
    println!("{}", sink.url());
    // Ends with its parent, which closes the pipe.
    let mut line = String::new();
    tokio::task::spawn_blocking(move || std::io::stdin().read_line(&mut line)).await??;
    Ok(())
}

async fn compare() -> Result<(), Box<dyn Error>> {
    let sink = measure::SinkProcess::start()?;
    let (mut limit, mut one, mut many) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        limit.push(limit::run(&sink.url).await?);
        one.push(scenarios::one_endpoint(&sink.url).await?);
        many.push(scenarios::fan_out(&sink.url).await?);
    }
    let base = median(&limit);
    println!(
        "{:<44} {:>10} {:>7} {:>12}",
        "", "per second", "of L1", "CPU us each"
    );
    let rows = [
        ("L1, bare hyper client, 64 in flight", &limit),
        ("memory, one endpoint, 64 in flight", &one),
        ("memory, 1,000 endpoints, fan-out 10", &many),
    ];
    for (name, figures) in rows {
        let Figure { rate, cpu_us } = median(figures);
        println!(
            "{name:<44} {rate:>10.0} {:>7.2} {cpu_us:>12.1}",
            rate / base.rate
        );
    }
    for (what, latency) in scenarios::latency(&sink.url).await? {
        println!("latency at 50/s, {what}: {latency}");
    }
    Ok(())
}
