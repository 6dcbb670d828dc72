//! Signed requests, for the tests of the frameworks.

use std::time::Duration;

use http::HeaderMap;
use webhooks_core::{SigningKey, signature_header};
use webhooks_receiver::WebhookReceiver;

pub(crate) const BODY: &[u8] =
    br#"{"id":"webhook_1","event":"a","timestamp":"t", "data":{"n":1},"version":"1.0"}"#;
pub(crate) const MAX_BODY: usize = 256 * 1024;

pub(crate) fn receiver() -> WebhookReceiver {
    WebhookReceiver::new("secret")
        .with_tolerance(Duration::MAX)
        .with_max_body(MAX_BODY)
}

pub(crate) fn headers(body: &[u8]) -> HeaderMap {
    let header = signature_header([&SigningKey::new(b"secret")], 1_750_000_000, body);
    let mut headers = HeaderMap::new();
    headers.insert("x-webhook-signature", header.parse().unwrap());
    headers
}
