//! What holds for every header and every body.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;
use webhooks_core::{SigningKey, StandardKey, signature_header};
use webhooks_receiver::WebhookReceiver;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const BODY: &[u8] = b"{}";

fn receiver() -> WebhookReceiver {
    WebhookReceiver::new(SECRET).with_tolerance(Duration::MAX)
}

fn header(name: &'static str, value: &[u8]) -> Option<HeaderMap> {
    let value = HeaderValue::from_bytes(value).ok()?;
    let name = http::HeaderName::from_static(name);
    Some(HeaderMap::from_iter([(name, value)]))
}

/// Text that comes close to the grammar.
fn near_header() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "t=[0-9]{0,13}",
        "v1=[0-9a-f]{60,68}",
        "v1=[0-9a-f]{64}",
        "[a-z0-9]{0,3}=?[ -~]{0,10}",
        "[ \t]{0,2}",
    ];
    let join = prop_oneof![Just(","), Just(", "), Just(" "), Just("")];
    prop::collection::vec((piece, join), 0..40)
        .prop_map(|parts| parts.into_iter().flat_map(|(a, b)| [a, b.into()]).collect())
}

proptest! {
    #[test]
    fn no_made_up_header_verifies(text in near_header(), bytes in any::<Vec<u8>>()) {
        for value in [text.as_bytes(), &bytes] {
            if let Some(headers) = header("x-webhook-signature", value) {
                prop_assert!(receiver().verify_at(&headers, BODY, 1_750_000_000).is_err());
            }
            if let Some(mut headers) = header("webhook-signature", value) {
                headers.insert("webhook-id", HeaderValue::from_static("msg_1"));
                headers.insert("webhook-timestamp", HeaderValue::from_static("1750000000"));
                prop_assert!(receiver().verify_at(&headers, BODY, 1_750_000_000).is_err());
            }
        }
    }

    #[test]
    fn what_was_signed_verifies_and_nothing_near_it(
        secret in "[ -~]{1,80}",
        body in any::<Vec<u8>>(),
        time in 0..=999_999_999_999_i64,
        now in 0..=i64::MAX,
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let receiver = WebhookReceiver::new(&secret).with_tolerance(Duration::MAX);
        let value = signature_header([&SigningKey::new(secret.as_bytes())], time, &body);
        let good = header("x-webhook-signature", value.as_bytes()).unwrap();
        prop_assert_eq!(receiver.verify_at(&good, &body, now), Ok(()));

        let mut changed = value.clone().into_bytes();
        let place = at.index(value.len());
        let digit = std::mem::replace(&mut changed[place], byte);
        // In either case a hexadecimal digit is the same one.
        let is_same = digit.is_ascii_hexdigit() && digit.eq_ignore_ascii_case(&byte);
        if digit != byte
            && !is_same
            && let Some(headers) = header("x-webhook-signature", &changed)
        {
            prop_assert!(receiver.verify_at(&headers, &body, now).is_err());
        }
        let mut other = body.clone();
        other.insert(at.index(body.len() + 1), byte);
        prop_assert!(receiver.verify_at(&good, &other, now).is_err());
        if !body.is_empty() {
            other = body.clone();
            other[at.index(body.len())] ^= byte | 1;
            prop_assert!(receiver.verify_at(&good, &other, now).is_err());
        }
        let other = WebhookReceiver::new(format!("{secret}x")).with_tolerance(Duration::MAX);
        prop_assert!(other.verify_at(&good, &body, now).is_err());
    }

    #[test]
    fn a_standard_signature_holds_for_its_id_time_and_body_alone(
        id in "[!-~]{1,256}",
        other_id in "[!-~]{1,256}",
        body in any::<Vec<u8>>(),
        time in 0..=999_999_999_999_i64,
    ) {
        let signature = StandardKey::new(SECRET).unwrap().sign(&id, time, &body);
        let mut headers = header("webhook-signature", signature.as_bytes()).unwrap();
        headers.insert("webhook-id", id.parse().unwrap());
        headers.insert("webhook-timestamp", time.to_string().parse().unwrap());
        prop_assert_eq!(receiver().verify_at(&headers, &body, 0), Ok(()));
        prop_assert!(receiver().verify_at(&headers, &[&*body, b"x"].concat(), 0).is_err());
        if id != other_id {
            headers.insert("webhook-id", other_id.parse().unwrap());
            prop_assert!(receiver().verify_at(&headers, &body, 0).is_err());
        }
    }

    #[test]
    fn no_body_makes_parsing_panic(body in any::<Vec<u8>>(), text in "[\\[\\]{}\":,a-e0-9]{0,60}") {
        drop(receiver().parse_webhook(&body));
        drop(receiver().parse_webhook(text.as_bytes()));
    }
}
