//! `v1a` of Standard Webhooks: signatures of key pairs.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use http::HeaderMap;
use webhooks_core::{Ed25519Key, SigningKey, StandardKey, signature_header};
use webhooks_receiver::{Ed25519PublicKey, WebhookReceiver};

// The key of RFC 8032 section 7.1, test 1; the signature was made with another library.
const PUBLIC: &str = "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
const KNOWN: &str =
    "v1a,fldxM4gAKugP6nnt1hdz3sgGfZ6d99nzrMFnZOELIxbzEHoVmAb2ADpkJK7zgPePmPsle0zV9jSeGlHFG2NVAw==";
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NOW: i64 = 1_614_265_330;
const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const BODY: &[u8] = br#"{"test": 2432232314}"#;

fn headers(signatures: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("webhook-id", ID.parse().unwrap());
    headers.insert("webhook-timestamp", NOW.into());
    headers.insert("webhook-signature", signatures.parse().unwrap());
    headers
}

fn code(receiver: &WebhookReceiver, headers: &HeaderMap) -> &'static str {
    match receiver.verify_at(headers, BODY, NOW) {
        Ok(()) => "ok",
        Err(error) => error.code(),
    }
}

fn receiver(keys: &[&str]) -> WebhookReceiver {
    WebhookReceiver::new("").with_secrets(keys.iter().copied())
}

fn v1() -> String {
    StandardKey::new(SECRET).unwrap().sign(ID, NOW, BODY)
}

#[test]
fn the_known_signature_verifies_with_the_public_key_alone() {
    let receiver = WebhookReceiver::new(PUBLIC);
    assert_eq!(code(&receiver, &headers(KNOWN)), "ok");
    let other_body = receiver.verify_at(&headers(KNOWN), b"{}", NOW);
    assert_eq!(other_body.unwrap_err().code(), "signature_mismatch");
    let later = receiver.verify_at(&headers(KNOWN), BODY, NOW + 301);
    assert_eq!(later.unwrap_err().code(), "timestamp_too_old");
    let other = Ed25519Key::generate().unwrap().public_key().to_string();
    assert_eq!(
        code(&WebhookReceiver::new(other), &headers(KNOWN)),
        "signature_mismatch"
    );
}

#[test]
fn every_key_meets_every_signature_of_its_version() {
    let (old, new) = (
        Ed25519Key::generate().unwrap(),
        Ed25519Key::generate().unwrap(),
    );
    let public = [old.public_key().to_string(), new.public_key().to_string()];
    let both = receiver(&[&public[0], SECRET, &public[1]]);
    let signatures = [new.sign(ID, NOW, BODY), old.sign(ID, NOW, BODY), v1()];
    for signature in &signatures {
        assert_eq!(code(&both, &headers(signature)), "ok");
        let list = format!("v2,x {KNOWN} v1a,AAAA v1,short {signature}");
        assert_eq!(code(&both, &headers(&list)), "ok");
    }
    assert_eq!(code(&both, &headers(KNOWN)), "signature_mismatch");
}

#[test]
fn signatures_without_a_key_are_skipped_and_not_counted() {
    let (nine_v1, nine_v1a) = ([v1().as_str(); 9].join(" "), [KNOWN; 9].join(" "));
    for (keys, list, expected) in [
        (&[PUBLIC][..], &format!("{nine_v1} {KNOWN}"), "ok"),
        (&[PUBLIC], &v1(), "no_usable_signature"),
        (&[PUBLIC], &"v1a,AAAA".to_owned(), "no_usable_signature"),
        (&[PUBLIC], &nine_v1a, "too_many_signatures"),
        (&[SECRET], &format!("{nine_v1a} {}", v1()), "ok"),
        (&[SECRET], &KNOWN.to_owned(), "no_usable_signature"),
        (
            &[SECRET, PUBLIC],
            &format!("{nine_v1} {KNOWN}"),
            "too_many_signatures",
        ),
        (
            &[SECRET, PUBLIC],
            &["v1,A v1a,A"; 4].join(" "),
            "no_usable_signature",
        ),
    ] {
        assert_eq!(
            code(&receiver(keys), &headers(list)),
            expected,
            "{keys:?} {list}"
        );
    }
}

#[test]
fn a_public_key_is_never_taken_for_a_secret() {
    let forged = signature_header([&SigningKey::new(PUBLIC.as_bytes())], NOW, BODY);
    let mut timestamped = HeaderMap::new();
    timestamped.insert("x-webhook-signature", forged.parse().unwrap());
    assert_eq!(
        code(&WebhookReceiver::new(PUBLIC), &timestamped),
        "signature_mismatch"
    );
    for broken in ["whpk_", "whpk_AAAA", "whpk_!"] {
        assert!(Ed25519PublicKey::new(broken).is_err());
        let forged = signature_header([&SigningKey::new(broken.as_bytes())], NOW, BODY);
        timestamped.insert("x-webhook-signature", forged.parse().unwrap());
        assert_eq!(
            code(&WebhookReceiver::new(broken), &timestamped),
            "empty_secret"
        );
    }
}
