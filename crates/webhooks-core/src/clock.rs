//! Where the time comes from.

use std::fmt::Debug;

use crate::Timestamp;

/// Tells the time. Everything that acts on time takes it as an argument or asks one of these.
pub trait Clock: Debug + Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Timestamp;
}
