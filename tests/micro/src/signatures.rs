//! Signing and verifying, against the bare MAC and against another library.

use std::hint::black_box;

use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use sha2::Sha256;
use webhooks_core::{SIGNATURE_HEADER, SigningKey, StandardKey, signature_header};
use webhooks_receiver::WebhookReceiver;

use crate::{Error, Step};

const NOW: i64 = 1_750_000_000;
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqr";
const ID: &str = "webhook_01900000-0000-7000-8000-000000000000";

fn body(bytes: usize) -> Vec<u8> {
    vec![b'x'; bytes]
}

/// HMAC-SHA256 and nothing else, from a key that was not made ready before.
pub(crate) fn fresh_hmac(bytes: usize) -> Result<Step, Error> {
    let body = body(bytes);
    Ok(Box::new(move || {
        let mac = Hmac::<Sha256>::new_from_slice(black_box(SECRET.as_bytes()));
        black_box(mac.map(|mut mac| {
            mac.update(black_box(&body));
            mac.finalize().into_bytes()
        }))
        .ok();
    }))
}

/// The header of one attempt.
pub(crate) fn sign(bytes: usize) -> Result<Step, Error> {
    let (key, body) = (SigningKey::new(SECRET.as_bytes()), body(bytes));
    Ok(Box::new(move || {
        black_box(signature_header([&key], black_box(NOW), black_box(&body)));
    }))
}

/// All that a consumer does before it believes a request.
pub(crate) fn verify(bytes: usize) -> Result<Step, Error> {
    let body = body(bytes);
    let header = signature_header([&SigningKey::new(SECRET.as_bytes())], NOW, &body);
    let mut headers = common_headers()?;
    headers.insert(SIGNATURE_HEADER, header.parse()?);
    verifying(headers, body)
}

/// The same in the other scheme.
pub(crate) fn verify_standard(bytes: usize) -> Result<Step, Error> {
    let body = body(bytes);
    let headers = standard_headers(&body, NOW)?;
    verifying(headers, body)
}

fn verifying(headers: HeaderMap, body: Vec<u8>) -> Result<Step, Error> {
    let receiver = WebhookReceiver::new(SECRET);
    receiver.verify_at(&headers, &body, NOW)?;
    Ok(Box::new(move || {
        black_box(receiver.verify_at(black_box(&headers), black_box(&body), NOW)).ok();
    }))
}

/// What the crate `standardwebhooks` does for the same request. It reads the wall clock, so its
/// request is signed now.
pub(crate) fn standardwebhooks_crate(bytes: usize) -> Result<Step, Error> {
    let body = body(bytes);
    let headers = standard_headers(&body, now()?)?;
    let webhook = standardwebhooks::Webhook::new(SECRET)?;
    webhook.verify(&body, &headers)?;
    Ok(Box::new(move || {
        black_box(webhook.verify(black_box(&body), black_box(&headers))).ok();
    }))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the other library takes no time as an argument"
)]
fn now() -> Result<i64, Error> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    Ok(i64::try_from(since.as_secs())?)
}

fn standard_headers(body: &[u8], at: i64) -> Result<HeaderMap, Error> {
    let mut headers = common_headers()?;
    let signature = StandardKey::new(SECRET)?.sign(ID, at, body);
    headers.insert("webhook-id", ID.parse()?);
    headers.insert("webhook-timestamp", at.into());
    headers.insert("webhook-signature", signature.parse()?);
    Ok(headers)
}

/// What stands in a request besides.
fn common_headers() -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    headers.insert("host", "localhost".parse()?);
    headers.insert("content-type", "application/json".parse()?);
    headers.insert("user-agent", "better-auth-webhooks/0.1.0".parse()?);
    headers.insert("x-webhook-id", ID.parse()?);
    headers.insert("x-webhook-event", "user.created".parse()?);
    headers.insert("x-webhook-attempt", 1.into());
    Ok(headers)
}
