//! Which host names may be resolved at all.
//!
//! A name is refused here only by its text. What it resolves to is judged later, for each
//! connection; this keeps search domains and local name services from being asked at all.

use super::Refusal;

/// The longest name and label of the DNS, in bytes (RFC 1035 section 2.3.4).
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// Names, with all below them, that are no public names: RFC 6761, RFC 6762, RFC 7686, RFC 8375,
/// the private-use `internal`, and the `svc` of clusters.
const RESERVED: [&str; 8] = [
    "localhost",
    "local",
    "internal",
    "test",
    "invalid",
    "onion",
    "home.arpa",
    "svc",
];

/// The name as it is compared: without the one dot that makes it absolute.
///
/// `example.com.` and `example.com` are one host, and must not be two to a rule.
pub(crate) fn relative(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

/// Whether DNS could hold the name. It comes from the parser in lower case.
pub(crate) fn check_form(name: &str) -> Result<(), Refusal> {
    let name = relative(name);
    if name.len() > MAX_NAME {
        return Err(Refusal::new(format!(
            "the host name is {} bytes, at most {MAX_NAME}",
            name.len()
        )));
    }
    for label in name.split('.') {
        if label.is_empty() {
            return Err(Refusal::new("the host name has an empty label"));
        }
        if label.len() > MAX_LABEL {
            return Err(Refusal::new(format!(
                "a label of the host name is {} bytes, at most {MAX_LABEL}",
                label.len()
            )));
        }
        // `_` is in no host name by RFC 952, but in names that people use.
        let dns = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        if !label.bytes().all(dns) {
            return Err(Refusal::new(
                "the host name holds other than letters, digits, - and _",
            ));
        }
    }
    Ok(())
}

/// Whether the name is a public one.
pub(crate) fn check_public(name: &str) -> Result<(), Refusal> {
    let name = relative(name);
    if let Some(reserved) = RESERVED.into_iter().find(|r| is_within(name, r)) {
        return Err(Refusal::new(format!("names of {reserved} are not public")));
    }
    if !name.contains('.') {
        return Err(Refusal::new("the host name has a single label"));
    }
    Ok(())
}

/// Whether `name` is `parent` or below it.
pub(crate) fn is_within(name: &str, parent: &str) -> bool {
    name.strip_suffix(parent)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}
