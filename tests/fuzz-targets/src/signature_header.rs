//! The header that carries a signature.

use http::{HeaderMap, HeaderName, HeaderValue};
use webhooks_core::SignatureGenerator;
use webhooks_receiver::WebhookReceiver;

use crate::stopped::NOW;

/// The secret, body and tolerance of the shared vectors.
const SECRET: &str = "whsec_live_5f1c0d9e8b7a6c5d4e3f2a1b";
const BODY: &[u8] = br#"{"id":"evt_1","type":"order.created","data":{"n":1}}"#;
const TOLERANCE: i64 = 300;

/// The bytes are header lines, one for each line. The receiver's verdict is that of a scanner which
/// goes through the header once, byte by byte.
pub fn signature_header(data: &[u8]) {
    let name = HeaderName::from_static("x-webhook-signature");
    let mut headers = HeaderMap::new();
    let lines: Vec<&[u8]> = match data {
        [] => Vec::new(),
        _ => data.split(|byte| *byte == b'\n').take(4).collect(),
    };
    for line in &lines {
        // What no HTTP library hands over is not for the receiver to judge.
        let Ok(value) = HeaderValue::from_bytes(line) else {
            return;
        };
        headers.append(&name, value);
    }
    let receiver = WebhookReceiver::new(SECRET);
    let verdict = receiver.verify_at(&headers, BODY, NOW);
    let code = verdict.map_or_else(|error| error.code(), |()| "ok");
    assert_eq!(code, expected(&lines).unwrap_or_else(|code| code));
}

fn expected(lines: &[&[u8]]) -> Result<&'static str, &'static str> {
    let line = match lines {
        [] => return Err("missing_header"),
        [line] => *line,
        _ => return Err("duplicate_header"),
    };
    if line.iter().all(|byte| matches!(byte, b' ' | b'\t')) {
        return Err("missing_header");
    }
    if line.len() > 4_096 {
        return Err("header_too_long");
    }
    let items = Scanner { rest: line }.items().ok_or("malformed_header")?;
    if items.len() > 32 {
        return Err("malformed_header");
    }
    let of = |name: &'static [u8]| items.iter().filter(move |item| item.0 == name);
    let time = match of(b"t").collect::<Vec<_>>()[..] {
        [] => return Err("missing_timestamp"),
        [(_, value)] => time(value).ok_or("bad_timestamp")?,
        _ => return Err("duplicate_timestamp"),
    };
    if of(b"v1").count() > 8 {
        return Err("too_many_signatures");
    }
    let hex = |byte: &u8| b"0123456789abcdefABCDEF".contains(byte);
    let usable: Vec<_> = of(b"v1")
        .filter(|(_, value)| value.len() == 64 && value.iter().all(hex))
        .collect();
    if usable.is_empty() {
        return Err("no_usable_signature");
    }
    if time < NOW - TOLERANCE {
        return Err("timestamp_too_old");
    }
    if time > NOW + TOLERANCE {
        return Err("timestamp_in_future");
    }
    let right = SignatureGenerator.generate(SECRET, BODY, time);
    match usable.iter().any(|(_, value)| **value == *right.as_bytes()) {
        true => Ok("ok"),
        false => Err("signature_mismatch"),
    }
}

/// The value of one to twelve digits, the first of them 0 only if it is the only one.
fn time(digits: &[u8]) -> Option<i64> {
    if digits.is_empty() || digits.len() > 12 || (digits.len() > 1 && digits[0] == b'0') {
        return None;
    }
    digits.iter().try_fold(0, |value, digit| match digit {
        b'0'..=b'9' => Some(value * 10 + i64::from(digit - b'0')),
        _ => None,
    })
}

type Item<'a> = (&'a [u8], &'a [u8]);

struct Scanner<'a> {
    rest: &'a [u8],
}

impl<'a> Scanner<'a> {
    fn items(mut self) -> Option<Vec<Item<'a>>> {
        let mut items = Vec::new();
        loop {
            self.take(|byte| matches!(byte, b' ' | b'\t'));
            let name = self
                .take(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
            if name.is_empty() || self.take_one() != Some(b'=') {
                return None;
            }
            let value = self.take(|byte| matches!(byte, b'!'..=b'~') && byte != b',');
            items.push((name, value));
            self.take(|byte| matches!(byte, b' ' | b'\t'));
            match self.take_one() {
                None => return Some(items),
                Some(b',') => {}
                Some(_) => return None,
            }
        }
    }

    fn take(&mut self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let length = self.rest.iter().take_while(|byte| wanted(**byte)).count();
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        taken
    }

    fn take_one(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }
}
