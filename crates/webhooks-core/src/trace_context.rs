//! What ties a request to the trace in which its event was sent.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Result, WebhookError, unique_number};

/// The longest `tracestate`, in bytes: what W3C Trace Context asks everyone to pass on.
const MAX_STATE: usize = 512;

/// The trace in which an event was sent, as W3C Trace Context writes it: kept with the event, so
/// that its requests can go on with the trace.
///
/// ```
/// use webhooks_core::TraceContext;
///
/// let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let trace = TraceContext::new(parent, None)?;
/// assert_eq!(trace.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
/// assert!(TraceContext::new("00-0-0-01", None).is_err());
/// # Ok::<(), webhooks_core::WebhookError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TraceContext {
    parent: Arc<str>,
    state: Option<Arc<str>>,
}

impl TraceContext {
    /// Takes over the values of the headers `traceparent`, of version 00, and `tracestate`, 1 to 512
    /// bytes of visible ASCII and spaces.
    ///
    /// # Errors
    ///
    /// [`WebhookError::InvalidEvent`] that names the header and its form.
    pub fn new(parent: &str, state: Option<&str>) -> Result<Self> {
        let problem = if !is_parent(parent) {
            Some("traceparent is not 00-<32 hex digits>-<16 hex digits>-<2 hex digits>".into())
        } else {
            state.and_then(state_problem)
        };
        match problem {
            Some(problem) => Err(WebhookError::InvalidEvent(problem.into())),
            None => Ok(Self {
                parent: parent.into(),
                state: state.map(Into::into),
            }),
        }
    }

    /// The root of a new trace, which is sampled, with ids that no other has got.
    #[must_use]
    pub fn unique() -> Self {
        // A zero alone is no id.
        let id = || unique_number().max(1);
        let parent = format!("00-{:016x}{:016x}-{:016x}-01", id(), id(), id());
        Self {
            parent: parent.into(),
            state: None,
        }
    }

    /// The value of the header `traceparent`.
    #[must_use]
    pub fn parent(&self) -> &str {
        &self.parent
    }

    /// The value of the header `tracestate`, if there is one.
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// The id of the trace: 32 hex digits.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        self.parent.split('-').nth(1).unwrap_or_default()
    }

    /// The id of the span that is the parent of what follows: 16 hex digits.
    #[must_use]
    pub fn span_id(&self) -> &str {
        self.parent.split('-').nth(2).unwrap_or_default()
    }

    /// Whether the trace is recorded, as its sender has decided.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        let flags = self.parent.split('-').nth(3);
        let flags = flags.and_then(|flags| u8::from_str_radix(flags, 16).ok());
        flags.is_some_and(|flags| flags & 1 == 1)
    }
}

/// Whether it is a `traceparent` of version 00. Ids of zeros alone are none.
fn is_parent(parent: &str) -> bool {
    let mut parts = parent.split('-');
    let mut id = |length: usize| {
        let part = parts.next().unwrap_or_default();
        let is_hex = part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        (is_hex && part.len() == length).then_some(part)
    };
    let is_set = |id: &str| id.bytes().any(|digit| digit != b'0');
    let ids = (id(2), id(32), id(16), id(2));
    parts.next().is_none()
        && matches!(ids, (Some("00"), Some(trace), Some(span), Some(_)) if is_set(trace) && is_set(span))
}

fn state_problem(state: &str) -> Option<String> {
    let length = state.len();
    if !(1..=MAX_STATE).contains(&length) {
        return Some(format!(
            "tracestate has {length} bytes, it needs 1 to {MAX_STATE}"
        ));
    }
    let is_bad = state.bytes().any(|b| !matches!(b, b' '..=b'~'));
    is_bad.then(|| "tracestate holds other than visible ascii and spaces".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_trace_is_of_the_form_and_sampled() {
        let (one, other) = (TraceContext::unique(), TraceContext::unique());
        assert_ne!(one.trace_id(), other.trace_id());
        for trace in [one, other] {
            assert_eq!(TraceContext::new(trace.parent(), None).unwrap(), trace);
            assert!(trace.is_sampled() && trace.parent().contains(trace.span_id()));
        }
        let parent = format!("00-{}-{}-fe", "1".repeat(32), "2".repeat(16));
        let trace = TraceContext::new(&parent, None).unwrap();
        assert!(!trace.is_sampled());
        assert_eq!(trace.span_id(), "2".repeat(16));
    }

    #[test]
    fn only_the_form_of_the_standard_is_taken() {
        let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
        assert!(TraceContext::new(&format!("00-{trace}-{span}-01"), Some("a=b")).is_ok());
        for parent in [
            String::new(),
            format!("01-{trace}-{span}-01"),
            format!("00-{trace}-{span}-01-"),
            format!("00-{trace}-{span}"),
            format!("00-{}-{span}-01", trace.to_uppercase()),
            format!("00-{}-{span}-01", "0".repeat(32)),
            format!("00-{trace}-{}-01", "0".repeat(16)),
        ] {
            assert!(TraceContext::new(&parent, None).is_err(), "{parent}");
        }
        let parent = format!("00-{trace}-{span}-00");
        for state in ["", "a\nb", "ä", &"a".repeat(513)] {
            assert!(TraceContext::new(&parent, Some(state)).is_err(), "{state}");
        }
    }
}
