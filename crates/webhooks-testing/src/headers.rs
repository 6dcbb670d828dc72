//! The headers that an endpoint gets.

use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};
use webhooks_core::{
    Attempt, SIGNATURE_HEADER, STANDARD_ID_HEADER, STANDARD_SIGNATURE_HEADER,
    STANDARD_TIMESTAMP_HEADER, SigningKey, StandardSigner, signature_header,
};

/// The version is that of all crates of the workspace.
const AGENT: &str = concat!("better-auth-webhooks/", env!("CARGO_PKG_VERSION"));

/// What the delivery engine sends with this attempt, but for what concerns the connection. What no
/// header can carry is left out.
pub(crate) fn headers(attempt: &Attempt<'_>) -> HeaderMap {
    let endpoint = attempt.endpoint;
    let mut headers = HeaderMap::new();
    let content_type = endpoint.content_type.as_deref();
    let agent = endpoint.user_agent.as_deref();
    add(
        &mut headers,
        &CONTENT_TYPE,
        content_type.unwrap_or("application/json"),
    );
    add(&mut headers, &USER_AGENT, agent.unwrap_or(AGENT));
    for (name, value) in &endpoint.headers {
        if let Ok(name) = HeaderName::from_bytes(name.as_bytes()) {
            add(&mut headers, &name, value);
        }
    }
    let id = attempt.event_id.to_string();
    for (name, value) in [
        ("x-webhook-id", id.clone()),
        ("x-webhook-event", attempt.event_type.to_owned()),
        ("x-webhook-delivery", attempt.delivery_id.to_string()),
        ("x-webhook-attempt", attempt.number.to_string()),
    ] {
        add(&mut headers, &HeaderName::from_static(name), &value);
    }
    sign(&mut headers, attempt, &id);
    headers
}

fn sign(headers: &mut HeaderMap, attempt: &Attempt<'_>, id: &str) {
    let (at, body) = (attempt.now.as_secs(), attempt.body);
    let secrets = || attempt.endpoint.live_secrets(attempt.now);
    let scheme = attempt.endpoint.signature;
    if scheme.is_timestamped() {
        let keys: Vec<_> = secrets().map(|s| SigningKey::new(s.as_bytes())).collect();
        let value = signature_header(&keys, at, body);
        add(headers, &HeaderName::from_static(SIGNATURE_HEADER), &value);
    }
    if scheme.is_standard() {
        let signers = secrets().filter_map(|secret| StandardSigner::new(secret).ok());
        let signatures: Vec<_> = signers.map(|signer| signer.sign(id, at, body)).collect();
        for (name, value) in [
            (STANDARD_ID_HEADER, id),
            (STANDARD_TIMESTAMP_HEADER, &at.to_string()),
            (STANDARD_SIGNATURE_HEADER, &signatures.join(" ")),
        ] {
            add(headers, &HeaderName::from_static(name), value);
        }
    }
}

fn add(headers: &mut HeaderMap, name: &HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
