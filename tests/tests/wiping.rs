//! What the system kept of an endpoint's secrets is gone from memory once it is dropped.
//!
//! Alone in its program, because it reads all of its own memory. It keeps the secrets that
//! it looks for inverted, so that they stand nowhere but in what it gave to the system.

#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    reason = "a failed test may panic in its helpers too"
)]

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::time::Duration;

use better_auth_webhooks::storage::MemoryStorage;
use better_auth_webhooks::{NetworkPolicy, WebhookEndpoint, WebhookSystem};
use serde_json::json;
use tokio::time::Instant;
use webhooks_tests::Receiver;

const SOON: Duration = Duration::from_secs(10);

/// The length of a secret. The allocator writes over the first bytes of what is freed.
const LENGTH: usize = 120;
/// The part of it that is looked for.
const PART: Range<usize> = 40..80;

/// A random text, inverted.
struct Hidden(Vec<u8>);

impl Hidden {
    fn new() -> Self {
        Self(
            (0..LENGTH)
                .map(|_| !u8::try_from(fastrand::alphanumeric()).unwrap())
                .collect(),
        )
    }

    /// The text, which is the caller's to give away.
    fn text(&self) -> String {
        self.0.iter().map(|byte| char::from(!byte)).collect()
    }

    fn is_at(&self, memory: &[u8]) -> bool {
        memory
            .iter()
            .zip(self.0.get(PART).unwrap())
            .all(|(byte, hidden)| *byte == !hidden)
    }
}

/// How often the text stands in what this program can write to: its heap and its stacks.
fn occurrences(hidden: &Hidden) -> usize {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let mut memory = File::open("/proc/self/mem").unwrap();
    let (mut found, mut bytes) = (0, Vec::new());
    for line in maps.lines().filter(|line| line.contains(" rw-p ")) {
        let (range, _) = line.split_once(' ').unwrap();
        let (start, end) = range.split_once('-').unwrap();
        let [start, end] = [start, end].map(|text| u64::from_str_radix(text, 16).unwrap());
        bytes.resize(usize::try_from(end - start).unwrap(), 0);
        memory.seek(SeekFrom::Start(start)).unwrap();
        // Some regions of the system cannot be read.
        if memory.read_exact(&mut bytes).is_ok() {
            let windows = bytes.windows(PART.len());
            found += windows.filter(|window| hidden.is_at(window)).count();
        }
        // Or this buffer would be found too.
        bytes.fill(0);
    }
    found
}

#[tokio::test]
async fn nothing_of_a_secret_is_left_in_memory() {
    let (first, second) = (Hidden::new(), Hidden::new());
    let receiver = Receiver::responding(200).await;
    let system = WebhookSystem::builder()
        .network_policy(NetworkPolicy::permissive())
        .build(MemoryStorage::new());
    let definition = WebhookEndpoint {
        id: "a".into(),
        url: receiver.url(),
        secret: first.text(),
        events: vec!["*".into()],
        ..Default::default()
    };
    system.register_endpoint(definition).await.unwrap();
    system.send_webhook("user.created", json!(1)).await.unwrap();
    receiver.wait_for(1).await;
    assert!(occurrences(&first) > 0, "kept while it is needed");

    let rotated = system.rotate_secret("a", second.text(), SOON).await;
    rotated.unwrap();
    system.send_webhook("user.created", json!(2)).await.unwrap();
    receiver.wait_for(2).await;
    assert!(occurrences(&first) > 0 && occurrences(&second) > 0);
    system.shutdown(SOON).await.unwrap();
    drop(system);

    // The tasks of the system end when the runtime comes to them.
    let until = Instant::now() + SOON;
    while occurrences(&first) + occurrences(&second) > 0 {
        assert!(Instant::now() < until, "left in memory");
        tokio::task::yield_now().await;
    }
}
