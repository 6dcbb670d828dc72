//! The log of attempts. It is apart from the rows, so that lines outlive what fell out, and so that
//! the bound is one for all.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use webhooks_core::{AttemptRecord, DeliveryId, Timestamp};

use crate::MemoryLimits;

/// The last attempts, oldest first, bounded by lines and by bytes of answers, headers included.
///
/// The oldest lines fall out: a listing then shows fewer attempts than the delivery's own count,
/// which stays right.
#[derive(Debug, Default)]
pub(crate) struct AttemptLog {
    lines: VecDeque<AttemptRecord>,
    bytes: usize,
}

impl AttemptLog {
    /// Adds a line. `ambiguous` marks the attempt of a settlement that came too late: its delivery
    /// may have been sent by another worker too.
    pub(crate) fn push(&mut self, attempt: &AttemptRecord, ambiguous: bool, limits: &MemoryLimits) {
        // A copy, since the answer may be a part of a much larger read buffer.
        let mut line = attempt.clone();
        line.response = Bytes::copy_from_slice(&attempt.response);
        line.ambiguous |= ambiguous;
        self.bytes += bytes_of(&line);
        self.lines.push_back(line);
        // One answer may be larger than what the oldest line frees.
        while self.lines.len() > limits.log_lines || self.bytes > limits.log_bytes {
            if !self.pop() {
                break;
            }
        }
    }

    /// Drops the oldest line if it started before `cutoff`.
    pub(crate) fn pop_before(&mut self, cutoff: Timestamp) -> bool {
        self.oldest().is_some_and(|at| at < cutoff) && self.pop()
    }

    /// When the oldest line started.
    pub(crate) fn oldest(&self) -> Option<Timestamp> {
        self.lines.front().map(|line| line.started_at)
    }

    /// Hands the attempts of some deliveries to each of them, oldest first, in one pass.
    ///
    /// One pass for a whole page: a search for each delivery would look through the log a thousand
    /// times.
    pub(crate) fn attach<'a>(
        &self,
        records: impl Iterator<Item = (DeliveryId, &'a mut Vec<AttemptRecord>)>,
    ) {
        let mut wanted: HashMap<_, _> = records.collect();
        for line in &self.lines {
            if let Some(attempts) = wanted.get_mut(&line.delivery_id) {
                attempts.push(line.clone());
            }
        }
    }

    fn pop(&mut self) -> bool {
        let Some(line) = self.lines.pop_front() else {
            return false;
        };
        self.bytes -= bytes_of(&line);
        true
    }
}

/// What an answer takes, as far as its sender decides that.
fn bytes_of(line: &AttemptRecord) -> usize {
    let headers = line.response_headers.iter();
    let headers = headers.map(|(name, value)| name.len() + value.len());
    line.response.len() + headers.sum::<usize>()
}
