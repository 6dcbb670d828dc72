//! What a storage has said that it has stored.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rusqlite::Connection;
use webhooks_core::DeliveryId;

/// The file that it is noted in, a line for each.
pub(crate) const NAME: &str = "acknowledged";
const DELIVERED: i64 = 4;

/// Notes what was acknowledged.
pub(crate) struct Notes(Mutex<File>);

/// What was noted.
#[derive(Debug, Default)]
pub(crate) struct Acknowledged {
    lines: HashSet<String>,
}

impl Notes {
    pub(crate) fn create(folder: &Path) -> Self {
        Self(Mutex::new(File::create(folder.join(NAME)).unwrap()))
    }

    /// A line for each: what became of it, and which it is.
    pub(crate) fn add(&self, what: &str, ids: impl IntoIterator<Item = DeliveryId>) {
        let ids = ids.into_iter();
        let lines: String = ids.map(|id| format!("{what} {}\n", id.as_uuid())).collect();
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(lines.as_bytes()).unwrap();
    }
}

impl Acknowledged {
    pub(crate) fn read(&mut self, noted: &[u8]) {
        let noted = std::str::from_utf8(noted).unwrap();
        self.lines.extend(noted.lines().map(str::to_owned));
    }

    /// How many deliveries are settled.
    pub(crate) fn delivered(&self) -> usize {
        let of = |line: &&String| line.starts_with("delivered");
        self.lines.iter().filter(of).count()
    }

    /// What is not in the file as it was acknowledged.
    pub(crate) fn missing(&self, client: &Connection) -> Vec<&String> {
        let mut select = client
            .prepare("SELECT lower(hex(id)), state FROM webhook_queue")
            .unwrap();
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        let states: HashMap<String, i64> = rows.unwrap().collect::<Result<_, _>>().unwrap();
        let is_missing = |line: &&String| {
            let (what, id) = line.split_once(' ').unwrap();
            match states.get(&id.replace('-', "")) {
                None => true,
                Some(state) => what == "delivered" && *state != DELIVERED,
            }
        };
        self.lines.iter().filter(is_missing).collect()
    }
}
