//! Row 13: the memory of deliveries that wait in the memory storage, in a process of its own.

use std::process::Command;
use std::sync::Arc;

use better_auth_webhooks::storage::{MemoryLimits, MemoryStorage, WebhookStorage};

use crate::Result;
use crate::load::{endpoint, new_event, now};
use crate::report::{Report, Target};

const WAITING: usize = 1_000_000;
const BATCH: usize = 100;

/// Starts the process.
pub(crate) fn measure(report: &mut Report) -> Result {
    let mut process = Command::new(std::env::current_exe()?);
    let output = process.arg("--footprint").output()?;
    let bytes: f64 = String::from_utf8(output.stdout)?.trim().parse()?;
    let row = "memory, bytes of a waiting delivery above its payload, 1,000,000 waiting";
    report.row(13, row, bytes, "bytes", Target::AtMost(400.0));
    Ok(())
}

/// The process: prints the bytes of one delivery.
pub(crate) async fn run() -> Result {
    let limits = MemoryLimits {
        waiting_per_endpoint: WAITING,
        ..MemoryLimits::default()
    };
    let storage = MemoryStorage::new().with_limits(limits);
    storage
        .save_endpoint(&endpoint("endpoint_1", "https://example.com/", "*"))
        .await?;
    let id: Arc<str> = "endpoint_1".into();
    let before = resident_bytes()?;
    let mut payload = 0;
    for _ in 0..WAITING / BATCH {
        let mut events = Vec::new();
        for _ in 0..BATCH {
            let mut event = new_event(&id, false)?;
            // As a directory does, which knows each endpoint's id once.
            for delivery in &mut event.deliveries {
                delivery.endpoint_id = id.clone();
            }
            payload += event.event.payload.len();
            events.push(event);
        }
        storage.enqueue(&events, None, now()).await?;
    }
    let used = resident_bytes()?.saturating_sub(before + payload);
    println!("{}", used as f64 / WAITING as f64);
    Ok(())
}

/// The resident memory of this process (proc(5), pages of 4 KiB).
fn resident_bytes() -> Result<usize> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages = statm.split(' ').nth(1).ok_or("no resident pages")?;
    Ok(pages.parse::<usize>()? * 4_096)
}
