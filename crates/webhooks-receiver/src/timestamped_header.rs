//! The grammar of `X-Webhook-Signature: t=<unix seconds>,v1=<hex>`.
//!
//! `item *( OWS "," OWS item )`, where an item is `token "=" *VCHAR` (RFC 9110, sections 5.6.1 to
//! 5.6.3, but with no empty items). Items of other names are skipped, so that later schemes can
//! stand beside `v1`.

use webhooks_core::decode_hex;

use crate::SignatureError;
use crate::presented::{MAX_ITEMS, Presented, Scheme, unix_seconds};
use crate::signatures::{Signature, Signatures};

/// Reads the text of the header, which holds printable ASCII, spaces and tabs.
///
/// The whole header has to be well-formed, also in the items that are skipped: what is half
/// understood is not verified.
pub(crate) fn parse(text: &str) -> Result<Presented, SignatureError> {
    let (mut time, mut times, mut signatures) = (None, 0, Signatures::default());
    for (n, item) in text.split(',').enumerate() {
        let (name, value) = well_formed(item).ok_or(SignatureError::MalformedHeader)?;
        if n == MAX_ITEMS {
            return Err(SignatureError::MalformedHeader);
        }
        match name {
            "t" => {
                times += 1;
                time = Some(value);
            }
            "v1" => signatures.push(decode_hex(value).map(Signature::Mac)),
            _ => {}
        }
    }
    let time = time.ok_or(SignatureError::MissingTimestamp)?;
    // Which of two times was signed would be a guess.
    if times > 1 {
        return Err(SignatureError::DuplicateTimestamp);
    }
    Ok(Presented {
        scheme: Scheme::Timestamped,
        timestamp: unix_seconds(time)?,
        signatures: signatures.checked()?,
    })
}

fn well_formed(item: &str) -> Option<(&str, &str)> {
    let (name, value) = item.trim_matches([' ', '\t']).split_once('=')?;
    // To the end, whatever is found: without a way out, bytes are looked at many at a time.
    let visible = |fine, byte: u8| fine & byte.is_ascii_graphic();
    (is_token(name) && value.bytes().fold(true, visible)).then_some((name, value))
}

/// RFC 9110, section 5.6.2.
fn is_token(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::presented::{MAX_HEADER, line_text};

    fn code(header: &[u8]) -> &'static str {
        match line_text(header, MAX_HEADER).and_then(parse) {
            Ok(_) => "ok",
            Err(error) => error.code(),
        }
    }

    #[test]
    fn characters_that_no_header_map_holds_are_refused() {
        let hex = "ab".repeat(32);
        for wrong in ["\0", "\x7f", "\n", "\r"] {
            let header = format!("t=1750000000,v1={hex}{wrong}");
            assert_eq!(code(header.as_bytes()), "malformed_header");
        }
    }

    #[test]
    fn white_space_stands_only_beside_commas() {
        let hex = "ab".repeat(32);
        let good = [
            format!(" t=1 ,\t v1={hex}\t"),
            format!("v1={hex},t=1"),
            format!("t=1,v1={hex},x-1=a=b;\"c\""),
        ];
        for header in good {
            assert_eq!(code(header.as_bytes()), "ok", "{header}");
        }
        let bad = [
            format!("t= 1,v1={hex}"),
            format!("t=1,v1 ={hex}"),
            format!("t=1,v1={hex},"),
            format!("t=1,v1={hex},x=a b"),
            format!("t=1,v1={hex},=x"),
        ];
        for header in bad {
            assert_eq!(code(header.as_bytes()), "malformed_header", "{header}");
        }
    }

    #[test]
    fn every_count_has_its_bound() {
        let hex = "ab".repeat(32);
        let items = |n| format!("t=1,v1={hex}{}", ",x=".repeat(n));
        assert_eq!(code(items(30).as_bytes()), "ok");
        assert_eq!(code(items(31).as_bytes()), "malformed_header");
        let signatures = |n| format!("t=1{}", ",v1=00".repeat(n));
        assert_eq!(code(signatures(8).as_bytes()), "no_usable_signature");
        assert_eq!(code(signatures(9).as_bytes()), "too_many_signatures");
        let padded = |n: usize| format!("t=1,v1={hex},x={}", "a".repeat(n - 74));
        assert_eq!(code(padded(4_096).as_bytes()), "ok");
        assert_eq!(code(padded(4_097).as_bytes()), "header_too_long");
        assert_eq!(code(b"v1=00"), "missing_timestamp");
        assert_eq!(code(format!("t=999999999999,v1={hex}").as_bytes()), "ok");
        assert_eq!(
            code(format!("t=1000000000000,v1={hex}").as_bytes()),
            "bad_timestamp"
        );
    }
}
