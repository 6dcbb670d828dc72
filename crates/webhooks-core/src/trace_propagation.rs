use crate::named::named;

/// Which trace a request tells its receiver, in the headers `traceparent` and `tracestate` of W3C
/// Trace Context.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TracePropagation {
    /// None. The ids of a sender's traces are no business of its customers, so this is the default.
    #[default]
    Off,
    /// A new one with each request, without a `tracestate`: receivers can tell requests apart in their
    /// own traces, and learn nothing of the sender's. The observer is told which.
    New,
    /// The one of the observer's span of the request, or without such a span the one in which the
    /// event was sent. A batch has none but the observer's.
    Continue,
}

named!(TracePropagation, "trace propagation", {
    Off => "off",
    New => "new",
    Continue => "continue",
});
