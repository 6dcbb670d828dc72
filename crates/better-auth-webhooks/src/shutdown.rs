//! How a system ended.

use serde::Serialize;

/// How a system ended. Whoever does not care may drop it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Shutdown {
    /// The deadline passed while requests were in flight, or events were being stored, and these were
    /// cut off. Such a request may have arrived all the same, and is sent again by another process, or
    /// by the next one.
    pub cut_off: bool,
}
