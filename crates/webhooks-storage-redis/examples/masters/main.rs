//! How fast deliveries go through clusters of one, two and three masters on this machine:
//! `cargo run --release -p webhooks-storage-redis --example masters`.
//!
//! It starts the servers itself, on loopback; `redis-server` and `redis-cli` are on the PATH.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

mod load;
mod nodes;

use nodes::{Nodes, Result};

const ROUNDS: usize = 3;

#[tokio::main]
async fn main() -> Result {
    for masters in 1..=3 {
        let mut rates = Vec::new();
        for _ in 0..ROUNDS {
            let nodes = Nodes::start(masters)?;
            let before = nodes.processor_us()?;
            let (deliveries, took) = load::run(nodes.url()).await?;
            let used = nodes.processor_us()? - before;
            rates.push((deliveries / took.as_secs_f64(), used / deliveries));
        }
        rates.sort_by(|a, b| a.0.total_cmp(&b.0));
        if let Some((rate, used)) = rates.get(ROUNDS / 2) {
            println!("masters {masters}: {rate:.0}/s, {used:.1} us of Redis each");
        }
    }
    Ok(())
}
