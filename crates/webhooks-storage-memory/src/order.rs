//! The deliveries of one endpoint that go one after another.

use std::collections::BTreeMap;
use std::sync::Arc;

/// The rows of one endpoint, in one incarnation, with one ordering key.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) key: OrderKey,
    /// Handles of those that have not ended, by place; the first is the head. A dead one that holds
    /// the others is in it, too.
    pub(crate) line: BTreeMap<u64, u32>,
    /// Rows that bear this order, ended ones included: it goes with the last of them.
    pub(crate) rows: usize,
}

/// Which order it is: endpoint, incarnation and ordering key.
pub(crate) type OrderKey = (u32, u32, Arc<str>);
