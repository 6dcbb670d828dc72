//! How urgent a delivery is.

use std::time::Duration;

use crate::Timestamp;
use crate::named::named;

/// How far one level moves a delivery ahead of those sent later.
const HEAD_START: Duration = Duration::from_secs(600);

/// How urgent a delivery is among those of the same endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Ten minutes behind `Normal`.
    Low,
    /// The default.
    #[default]
    Normal,
    /// Ten minutes ahead of `Normal`.
    High,
    /// Twenty minutes ahead of `Normal`.
    Critical,
}

impl Priority {
    /// The key by which the ready deliveries of an endpoint are ordered, least first: the time of
    /// sending minus ten minutes per level above `Low`. Every delivery's turn comes, since later
    /// ones get ever larger keys.
    #[must_use]
    pub fn sort_key(self, sent_at: Timestamp) -> i64 {
        sent_at
            .before(HEAD_START * u32::from(self.level()))
            .as_millis()
    }

    /// The level as a number: `Low` 0 to `Critical` 3.
    #[must_use]
    pub const fn level(self) -> u8 {
        match self {
            Self::Low => 0,
            Self::Normal => 1,
            Self::High => 2,
            Self::Critical => 3,
        }
    }

    /// The priority with this [`level`](Self::level); what is above 3 is `Critical`.
    #[must_use]
    pub const fn from_level(level: u8) -> Self {
        match level {
            0 => Self::Low,
            1 => Self::Normal,
            2 => Self::High,
            _ => Self::Critical,
        }
    }
}

named!(Priority, "priority", {
    Low => "low",
    Normal => "normal",
    High => "high",
    Critical => "critical",
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_worth_ten_minutes() {
        let sent = Timestamp::from_secs(10_000);
        let ten_minutes_later = Timestamp::from_secs(10_600);
        assert!(Priority::High.sort_key(sent) < Priority::Normal.sort_key(sent));
        assert_eq!(
            Priority::Critical.sort_key(ten_minutes_later),
            Priority::High.sort_key(sent)
        );
    }
}
