//! The case of random sequences, `random_operations.rs`.

use crate::bench::Bench;

/// Stands in the list of cases; the runner makes a storage for each sequence instead.
pub(crate) async fn random_operations(_: &Bench) {}
