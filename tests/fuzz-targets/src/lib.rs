//! What must hold for any bytes that come from outside.
//!
//! Each target takes bytes, hands them to the public API and compares what comes of it with a
//! plain oracle that shares none of its code. `fuzz/` runs them for long, under a fuzzer that looks
//! for new paths; `tests/short.rs` runs them over the corpora of `fuzz/corpus/` and some thousand
//! changes of these, on stable.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a target fails by panicking"
)]

mod content_filter;
mod filter_pattern;
mod payload;
mod response;
mod retry_after;
mod signature_header;
mod stopped;
mod url_guard;

pub use self::content_filter::content_filter;
pub use self::filter_pattern::filter_pattern;
pub use self::payload::payload;
pub use self::response::response;
pub use self::retry_after::retry_after;
pub use self::signature_header::signature_header;
pub use self::url_guard::url_guard;

/// A target: it panics where a property does not hold.
pub type Target = fn(&[u8]);

/// All targets by name, which is that of their corpus too.
pub const TARGETS: [(&str, Target); 7] = [
    ("content_filter", content_filter),
    ("response", response),
    ("filter_pattern", filter_pattern),
    ("payload", payload),
    ("retry_after", retry_after),
    ("signature_header", signature_header),
    ("url_guard", url_guard),
];
