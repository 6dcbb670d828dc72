//! What is ready of an endpoint that batches, and since when.
//!
//! A batch is due when its number is ready or its oldest has waited long enough. Until then its
//! deliveries stay in the storage instead of with a worker: all nodes fill one batch, and a dead
//! worker costs none of it.

use std::collections::BTreeSet;

use webhooks_core::Timestamp;

use crate::row::Row;

/// The ready rows of an endpoint that batches, poison suspects aside, by due time and order. Of
/// other endpoints it is empty.
///
/// Apart from the queue of ready rows, whose order is by priority: the oldest by due time may stand
/// anywhere in it, and the wait counts from that one.
#[derive(Debug, Default)]
pub(crate) struct Filling(BTreeSet<(Timestamp, u64)>);

impl Filling {
    pub(crate) fn insert(&mut self, row: &Row) {
        self.0.insert(row.due_key());
    }

    pub(crate) fn remove(&mut self, row: &Row) {
        self.0.remove(&row.due_key());
    }

    /// When the one that waits longest was due.
    pub(crate) fn since(&self) -> Option<Timestamp> {
        self.0.first().map(|(since, _)| *since)
    }
}

impl<'a> FromIterator<&'a Row> for Filling {
    fn from_iter<I: IntoIterator<Item = &'a Row>>(rows: I) -> Self {
        Self(rows.into_iter().map(Row::due_key).collect())
    }
}
