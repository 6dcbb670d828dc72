//! What happened, line by line, and what went wrong.

use std::fmt;

/// A rule that was broken.
#[derive(Clone, Debug)]
pub(super) struct Violation {
    /// The rule, in a few words.
    pub(super) rule: &'static str,
    pub(super) text: String,
}

/// Ends the run: this rule was broken.
pub(super) fn fail(rule: &'static str, text: impl fmt::Display) -> ! {
    // Without the hook: who runs the seed tells of it.
    std::panic::resume_unwind(Box::new(Violation {
        rule,
        text: text.to_string(),
    }))
}

/// The lines of a run, if they are wanted, and a hash of what happened.
#[derive(Debug, Default)]
pub(super) struct Trace {
    is_wanted: bool,
    pub(super) lines: Vec<String>,
}

impl Trace {
    pub(super) const fn new(is_wanted: bool) -> Self {
        Self {
            is_wanted,
            lines: Vec::new(),
        }
    }

    pub(super) fn line(&mut self, us: u64, text: impl FnOnce() -> String) {
        if self.is_wanted {
            let (ms, us) = (us / 1_000, us % 1_000);
            self.lines.push(format!("{ms:>7}.{us:03} {}", text()));
        }
    }
}
