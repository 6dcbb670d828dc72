//! Which headers the requests of an endpoint may carry besides the sender's.

use std::collections::{HashMap, HashSet};

use http::{HeaderName, HeaderValue};

use crate::Result;
use crate::field_rule::{ENCRYPTED_PREFIX, bound, broken};

/// The most headers of one endpoint.
const MAX_HEADERS: usize = 64;
/// The longest name of a header, in bytes.
const MAX_NAME: usize = 256;
/// The longest value of a header, in bytes.
const MAX_VALUE: usize = 4_096;
/// The most bytes of all names and values together: receivers refuse long heads.
const MAX_BYTES: usize = 32 << 10;
/// The longest `content_type` and `user_agent`, in bytes.
const MAX_REPLACED: usize = 256;

/// Headers that the sender sets, that frame a message, or that concern one connection only
/// (RFC 9110 section 7.6.1); besides these every name that starts with `x-webhook-` or `proxy-`.
///
/// Were a caller able to set one of them, it could make a second request out of the body of the
/// first (request smuggling, RFC 9112 section 11.2), choose another virtual host, or forge what a
/// receiver takes for the sender's word.
const RESERVED: [&str; 20] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "max-forwards",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "webhook-id",
    "webhook-signature",
    "webhook-timestamp",
];

/// Checks `headers`, `content_type` and `user_agent`.
pub(crate) fn check_headers(
    headers: &HashMap<String, String>,
    content_type: Option<&str>,
    user_agent: Option<&str>,
) -> Result<()> {
    bound("headers", headers.len(), 0, MAX_HEADERS, "headers")?;
    // Names that differ in case alone are two in a map of texts; a request would carry the header
    // twice.
    let mut seen = HashSet::new();
    for (name, value) in headers {
        let problem = name_problem(name, &mut seen).or_else(|| value_problem(value));
        // The start of a name tells which one it is.
        let shown: String = name.chars().take(64).collect();
        broken(problem.map(|problem| format!("header {shown:?} {problem}")))?;
    }
    // Together, and after each by itself, so that the error names the header where one is to blame.
    let bytes = headers.iter().map(|(name, value)| name.len() + value.len());
    bound("headers", bytes.sum(), 0, MAX_BYTES, "bytes")?;
    if let Some(content_type) = content_type {
        replaced("content_type", content_type)?;
        if !is_media_type(content_type) {
            let problem = "content_type is not a media type (RFC 9110 section 8.3.1)";
            broken(Some(problem.into()))?;
        }
    }
    user_agent.map_or(Ok(()), |user_agent| replaced("user_agent", user_agent))
}

fn name_problem(name: &str, seen: &mut HashSet<HeaderName>) -> Option<String> {
    if name.len() > MAX_NAME {
        let length = name.len();
        return Some(format!("has a name of {length} bytes, at most {MAX_NAME}"));
    }
    let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
        return Some("is not a header name (RFC 9110 section 5.1)".into());
    };
    if is_reserved(name.as_str()) {
        return Some(match name.as_str() {
            "content-type" | "user-agent" => {
                "is a field of its own: content_type or user_agent".into()
            }
            _ => "is reserved for the sender or for the connection".into(),
        });
    }
    let is_new = seen.insert(name);
    (!is_new).then(|| "is there twice, names differ in more than case".into())
}

fn is_reserved(name: &str) -> bool {
    name.starts_with("x-webhook-") || name.starts_with("proxy-") || RESERVED.contains(&name)
}

fn value_problem(value: &str) -> Option<String> {
    if value.len() > MAX_VALUE {
        let length = value.len();
        return Some(format!(
            "has a value of {length} bytes, at most {MAX_VALUE}"
        ));
    }
    // A storage that encrypts credentials tells by this prefix which are encrypted already.
    if value.starts_with(ENCRYPTED_PREFIX) {
        return Some("has a value that starts with enc1:, which marks what is encrypted".into());
    }
    (!is_plain(value))
        .then(|| "has a value with characters other than visible ASCII and spaces".into())
}

/// Checks a value that stands in the place of one of the sender's.
fn replaced(field: &str, value: &str) -> Result<()> {
    bound(field, value.len(), 1, MAX_REPLACED, "bytes")?;
    let problem = || format!("{field} has characters other than visible ASCII and spaces");
    broken((!is_plain(value)).then(problem))
}

fn is_plain(value: &str) -> bool {
    // It alone would also take other characters, as opaque octets.
    HeaderValue::from_str(value).is_ok() && value.is_ascii()
}

/// `type/subtype`, and perhaps parameters after a semicolon.
fn is_media_type(value: &str) -> bool {
    let essence = value.split(';').next().unwrap_or_default();
    // The names of headers are tokens too (RFC 9110 section 5.6.2).
    let is_token = |part: &str| HeaderName::from_bytes(part.as_bytes()).is_ok();
    essence
        .trim_end_matches([' ', '\t'])
        .split_once('/')
        .is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(name: &str, value: &str) -> String {
        let headers = HashMap::from([(name.to_owned(), value.to_owned())]);
        let refused = check_headers(&headers, None, None).unwrap_err();
        refused.to_string()
    }

    #[test]
    fn headers_of_the_sender_and_of_the_connection_are_refused() {
        for name in [
            "Host",
            "content-length",
            "X-Webhook-Id",
            "Proxy-Authorization",
            "TE",
            "Traceparent",
            "tracestate",
        ] {
            let text = refusal(name, "x");
            assert!(text.contains(name) && text.contains("reserved"), "{text}");
        }
        let text = refusal("User-Agent", "x");
        assert!(text.contains("content_type or user_agent"), "{text}");
        let text = refusal("a b", "x");
        assert!(text.contains("not a header name"), "{text}");
        for value in ["x\r\nHost: y", "\0", "\u{7f}", "é", "\u{200b}"] {
            let text = refusal("a", value);
            assert!(text.contains("visible ASCII"), "{value:?}: {text}");
        }
        let text = refusal("x", "enc1:");
        assert!(text.contains("a value that starts with enc1:"), "{text}");
    }

    #[test]
    fn names_and_the_whole_are_bounded() {
        let with = |count: usize, name: usize, value: usize| {
            let header = |n| (format!("{n:0>name$}"), "v".repeat(value));
            let headers = (0..count).map(header).collect();
            check_headers(&headers, None, None).map_err(|error| error.to_string())
        };
        assert!(with(1, 256, 4_096).is_ok());
        let text = with(1, 257, 1).unwrap_err();
        assert!(text.contains("a name of 257 bytes, at most 256"), "{text}");
        assert!(with(64, 256, 256).is_ok());
        let text = with(64, 256, 257).unwrap_err();
        let expected = "headers has 32832 bytes, it needs 0 to 32768";
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn a_content_type_is_a_media_type_and_a_user_agent_plain_text() {
        let with = |value: &str| check_headers(&HashMap::new(), Some(value), None);
        for good in [
            "application/cloudevents+json; charset=utf-8",
            "application/json ;v=1",
            "a/b",
        ] {
            assert!(with(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "json",
            "a/",
            "/b",
            "a b/c",
            "a/b/c",
            "a/b\r\nx: y",
            "é/b",
        ] {
            let text = with(bad).unwrap_err().to_string();
            assert!(text.contains("content_type"), "{bad:?}: {text}");
        }
        for bad in [String::new(), "x".repeat(257), "a\nb".into(), "é".into()] {
            let refused = check_headers(&HashMap::new(), None, Some(&bad));
            let text = refused.unwrap_err().to_string();
            assert!(text.contains("user_agent"), "{bad:?}: {text}");
        }
    }
}
