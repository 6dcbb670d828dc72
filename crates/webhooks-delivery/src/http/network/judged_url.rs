//! A URL that was judged, as requests use it.

use http::Uri;
use url::{Position, Url};

use super::{Refusal, Target};

/// A URL that was judged, as requests use it.
///
/// The parser sees the text up to the path alone, and the text from there on is the target of
/// requests: so no target has a part in where a request goes, and no parser in what it asks for.
#[derive(Debug)]
pub(crate) struct JudgedUrl {
    /// Without a path of its own; the parser adds `/`, which nobody uses.
    origin: Url,
    /// Path and query, as given but for what a request line cannot hold.
    request_target: Uri,
}

impl JudgedUrl {
    /// Reads a URL whose text holds nothing that parsers drop or fold, nor a fragment.
    pub(super) fn read(raw: &str) -> Result<Self, Refusal> {
        let scheme = raw.find("://").map_or(0, |at| at + 3);
        let path = raw.get(scheme..).and_then(|rest| rest.find(['/', '?']));
        let (origin, target) = raw.split_at(path.map_or(raw.len(), |at| scheme + at));
        let origin =
            Url::parse(origin).map_err(|e| Refusal::new(format!("it does not parse: {e}")))?;
        let request_target = request_target(target)
            .parse()
            .map_err(|_| Refusal::new("it has a path that no request can carry"))?;
        Ok(Self {
            origin,
            request_target,
        })
    }

    /// Scheme, host and port.
    pub(super) const fn origin(&self) -> &Url {
        &self.origin
    }

    /// Where connections go; `None` without host or port, which judged URLs have.
    pub(crate) fn target(&self) -> Option<Target> {
        Target::of(&self.origin)
    }

    /// The host, and the port unless it is that of the scheme: what `Host` says.
    pub(crate) fn authority(&self) -> &str {
        &self.origin[Position::BeforeHost..Position::AfterPort]
    }

    /// What requests ask for.
    pub(crate) const fn request_target(&self) -> &Uri {
        &self.request_target
    }
}

/// The text as it was given; encoded is what cannot stand in a request line.
fn request_target(given: &str) -> String {
    let mut target = String::with_capacity(given.len() + 1);
    if !given.starts_with('/') {
        target.push('/');
    }
    for c in given.chars() {
        // The parser of `http` would take or refuse these four by its version; RFC 3986 has them in
        // no URL.
        if c.is_ascii() && !matches!(c, '"' | '<' | '>' | '`') {
            target.push(c);
            continue;
        }
        for byte in c.encode_utf8(&mut [0; 4]).bytes() {
            target.push_str(&format!("%{byte:02X}"));
        }
    }
    target
}
