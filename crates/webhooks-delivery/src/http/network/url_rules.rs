//! Which URLs requests may go to.
//!
//! The raw text is judged first, because parsers differ in what they silently drop or fold (WHATWG
//! URL against RFC 3986); what is left means the same to all of them.

use url::{Host, Url};
use webhooks_core::MAX_URL;

use super::judged_url::JudgedUrl;
use super::{NetworkPolicy, Refusal};

impl NetworkPolicy {
    /// Judges a URL. Resolves no name.
    ///
    /// # Errors
    ///
    /// [`InvalidEndpoint`](webhooks_core::WebhookError::InvalidEndpoint) with the rule that refuses it.
    pub fn check_url(&self, url: &str) -> webhooks_core::Result<()> {
        judge(self, url).map(drop).map_err(Into::into)
    }
}

/// Judges a URL and parses it, once.
pub(crate) fn judge(policy: &NetworkPolicy, raw: &str) -> Result<JudgedUrl, Refusal> {
    check_text(raw)?;
    // On the text, before any parser: what a parser drops or folds could hide a host from the
    // rules.
    check_authority(policy, raw)?;
    let url = JudgedUrl::read(raw)?;
    check_origin(policy, url.origin())?;
    Ok(url)
}

fn check_text(raw: &str) -> Result<(), Refusal> {
    if raw.len() > MAX_URL {
        return Err(Refusal::new(format!(
            "it is {} bytes, at most {MAX_URL}",
            raw.len()
        )));
    }
    // Parsers strip tabs and line feeds, and browsers read `\` as `/`.
    if raw.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\') {
        return Err(Refusal::new(
            "it holds a space, a control character or a backslash",
        ));
    }
    Ok(())
}

fn check_authority(policy: &NetworkPolicy, raw: &str) -> Result<(), Refusal> {
    let Some((scheme, rest)) = raw.split_once("://") else {
        return Err(Refusal::new("it does not start with https://"));
    };
    policy.check_scheme(&scheme.to_ascii_lowercase())?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.is_empty() {
        return Err(Refusal::new("it has no host after its scheme://"));
    }
    // What looks like a host before an `@` is a user name: people read it as the host.
    if authority.contains('@') {
        return Err(Refusal::new("it holds a user name or password"));
    }
    if rest.contains('#') {
        return Err(Refusal::new("it holds a fragment"));
    }
    Ok(())
}

fn check_origin(policy: &NetworkPolicy, url: &Url) -> Result<(), Refusal> {
    // Once more on what was parsed, which is what is dialled: both must pass, so that a difference
    // between text and parser can only refuse.
    policy.check_scheme(url.scheme())?;
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err(Refusal::new("it holds a user name, password or fragment"));
    }
    let port = url.port_or_known_default();
    policy.check_port(port.ok_or_else(|| Refusal::new("it has no port"))?)?;
    match url.host() {
        None => Err(Refusal::new("it has no host")),
        Some(Host::Domain(name)) => policy.check_name(name),
        Some(Host::Ipv4(ip)) => policy.check_literal(ip.into()),
        Some(Host::Ipv6(ip)) => policy.check_literal(ip.into()),
    }
}
