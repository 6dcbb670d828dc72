//! Kinds of endpoints that may hold requests for long.

/// Endpoints that have a part of the slots together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Those that may turn out to hold requests for long.
    Unproven,
    /// Those with a longer timeout than the system's.
    Patient,
}

impl Kind {
    pub(super) const BOTH: [Self; 2] = [Self::Unproven, Self::Patient];
}
