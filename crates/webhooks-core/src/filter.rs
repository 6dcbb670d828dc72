//! Which events an endpoint wants.

use std::fmt;

use crate::event_type::problem;
use crate::{Result, WebhookError};

/// One pattern of an endpoint's `events`: an exact event type, `prefix.*`, or `*`.
///
/// `user.*` takes one or more further segments: `user.created` and `user.profile.updated`, but
/// neither `user` nor `users.created`.
///
/// ```
/// # use webhooks_core::EventFilter;
/// let filter = EventFilter::new("user.*")?;
/// assert!(filter.matches("user.created"));
/// assert!(!filter.matches("user"));
/// # Ok::<(), webhooks_core::WebhookError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventFilter(Pattern);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Pattern {
    Any,
    /// The prefix without its dot.
    Below(Box<str>),
    Exact(Box<str>),
}

impl EventFilter {
    /// Checks and keeps a pattern.
    ///
    /// # Errors
    ///
    /// [`WebhookError::InvalidFilter`] that names the pattern and the broken rule.
    pub fn new(pattern: &str) -> Result<Self> {
        // Before the suffix is looked for, so that `*` is no prefix with an empty name.
        if pattern == "*" {
            return Ok(Self(Pattern::Any));
        }
        let (event_type, below) = match pattern.strip_suffix(".*") {
            Some(prefix) => (prefix, true),
            None => (pattern, false),
        };
        if let Some(problem) = problem(event_type) {
            // Patterns come from callers, and may be of any length.
            let shown: String = pattern.chars().take(64).collect();
            return Err(WebhookError::InvalidFilter(
                format!("{shown:?} is not an exact type, prefix.* or *: {problem}").into(),
            ));
        }
        Ok(Self(if below {
            Pattern::Below(event_type.into())
        } else {
            Pattern::Exact(event_type.into())
        }))
    }

    /// Whether an event of this type passes.
    ///
    /// What is no event type passes no filter, not even `*`.
    #[must_use]
    pub fn matches(&self, event_type: &str) -> bool {
        match &self.0 {
            Pattern::Any => problem(event_type).is_none(),
            Pattern::Exact(exact) => **exact == *event_type,
            Pattern::Below(prefix) => event_type
                .strip_prefix(&**prefix)
                .and_then(|rest| rest.strip_prefix('.'))
                .is_some_and(|_| problem(event_type).is_none()),
        }
    }

    /// The only type that passes, of a filter that is an exact type.
    #[must_use]
    pub fn exact(&self) -> Option<&str> {
        match &self.0 {
            Pattern::Exact(exact) => Some(exact),
            Pattern::Any | Pattern::Below(_) => None,
        }
    }

    /// What every type that passes begins with, and has more behind: of `user.*` it is `user.`, of
    /// `*` nothing. `None` for an exact type.
    #[must_use]
    pub fn prefix(&self) -> Option<String> {
        match &self.0 {
            Pattern::Any => Some(String::new()),
            Pattern::Below(prefix) => Some(format!("{prefix}.")),
            Pattern::Exact(_) => None,
        }
    }

    pub(crate) const fn pattern(&self) -> &Pattern {
        &self.0
    }
}

impl fmt::Display for EventFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Pattern::Any => f.write_str("*"),
            Pattern::Below(prefix) => write!(f, "{prefix}.*"),
            Pattern::Exact(exact) => f.write_str(exact),
        }
    }
}

impl fmt::Debug for EventFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_takes_one_or_more_further_segments() {
        let filter = EventFilter::new("user.*").unwrap();
        for taken in ["user.created", "user.profile.updated"] {
            assert!(filter.matches(taken), "{taken}");
        }
        for left in [
            "user",
            "users.created",
            "user.",
            "user..x",
            "USER.created",
            "",
        ] {
            assert!(!filter.matches(left), "{left}");
        }
    }

    #[test]
    fn other_patterns_are_refused_by_name() {
        for bad in [
            "",
            ".*",
            "*.created",
            "user.*.x",
            "user*",
            "**",
            "user.**",
            "a b",
        ] {
            let error = EventFilter::new(bad).unwrap_err().to_string();
            assert!(error.contains(&format!("{bad:?}")), "{error}");
        }
    }

    #[test]
    fn prints_as_it_was_written() {
        for pattern in ["*", "user.*", "user.created"] {
            assert_eq!(EventFilter::new(pattern).unwrap().to_string(), pattern);
        }
    }
}
