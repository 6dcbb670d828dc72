//! What a fault came to, in one line.

use std::collections::HashSet;
use std::fmt;
use std::io::Write;
use std::time::Duration;

use crate::ledger::{Acknowledged, Arrivals};

/// Deliveries of one run.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    pub(crate) fault: &'static str,
    /// Acknowledged.
    pub(crate) sent: usize,
    /// Arrived, acknowledged or not.
    pub(crate) arrived: usize,
    /// Acknowledged, and neither arrived nor among the dead letters.
    pub(crate) lost: Vec<String>,
    /// Accepted requests beyond the first of their delivery.
    pub(crate) duplicates: usize,
    /// Sends that ended in an error.
    pub(crate) refused: usize,
    /// The longest time from an acknowledgement to the arrival.
    pub(crate) slowest: Duration,
    /// From the end of the fault to the next request, at worst.
    pub(crate) resumed: Option<Duration>,
    /// What else is worth a number.
    pub(crate) notes: Vec<String>,
}

impl Tally {
    pub(crate) fn new(
        fault: &'static str,
        acknowledged: &Acknowledged,
        arrivals: &Arrivals,
        dead: &HashSet<String>,
    ) -> Self {
        let (acknowledged, accepted) = (acknowledged.all(), arrivals.accepted());
        let is_lost = |id: &&String| !accepted.contains_key(*id) && !dead.contains(*id);
        let waited = acknowledged.iter().filter_map(|(id, acknowledged)| {
            let (_, arrived) = accepted.get(id)?;
            Some(arrived.saturating_duration_since(acknowledged.at))
        });
        Self {
            fault,
            sent: acknowledged.len(),
            arrived: accepted.len(),
            lost: acknowledged.keys().filter(is_lost).cloned().collect(),
            duplicates: accepted.values().map(|(times, _)| times - 1).sum(),
            refused: 0,
            slowest: waited.max().unwrap_or_default(),
            resumed: None,
            notes: Vec::new(),
        }
    }

    /// Prints the line, and adds it to the file that `cargo xtask faults` asks for.
    pub(crate) fn report(&self) {
        println!("{self}");
        if let Some(file) = std::env::var_os("WEBHOOKS_FAULTS_REPORT") {
            let file = std::fs::File::options()
                .create(true)
                .append(true)
                .open(file);
            writeln!(file.unwrap(), "{self}").unwrap();
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<54} sent {:>6}, arrived {:>6}, lost {}, duplicates {:>3}, refused {:>3}, slowest {:>4.1} s",
            self.fault,
            self.sent,
            self.arrived,
            self.lost.len(),
            self.duplicates,
            self.refused,
            self.slowest.as_secs_f64(),
        )?;
        if let Some(resumed) = self.resumed {
            write!(f, ", resumed after {:.1} s", resumed.as_secs_f64())?;
        }
        self.notes.iter().try_for_each(|note| write!(f, ", {note}"))
    }
}
