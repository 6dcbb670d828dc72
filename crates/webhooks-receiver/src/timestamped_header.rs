//! The grammar of `X-Webhook-Signature: t=<unix seconds>,v1=<hex>`.
//!
//! `item *( OWS "," OWS item )`, where an item is `token "=" *VCHAR` (RFC 9110, sections 5.6.1 to
//! 5.6.3, but with no empty items). Items of other names are skipped, so that later schemes can
//! stand beside `v1`.

use webhooks_core::decode_hex;

use crate::SignatureError;
use crate::presented::{MAX_ITEMS, Presented, Scheme, unix_seconds, usable};

/// Reads the text of the header.
pub(crate) fn parse(text: &str) -> Result<Presented, SignatureError> {
    let items = items(text)?;
    let values = |wanted| {
        items
            .iter()
            .filter(move |(name, _)| *name == wanted)
            .map(|(_, value)| *value)
    };
    let mut times = values("t");
    let time = times.next().ok_or(SignatureError::MissingTimestamp)?;
    if times.next().is_some() {
        return Err(SignatureError::DuplicateTimestamp);
    }
    let timestamp = unix_seconds(time)?;
    let signatures: Vec<_> = values("v1").collect();
    let macs = usable(&signatures, |hex| decode_hex(hex))?;
    Ok(Presented {
        scheme: Scheme::Timestamped,
        timestamp,
        macs,
    })
}

fn items(text: &str) -> Result<Vec<(&str, &str)>, SignatureError> {
    // One item too many is read, so that it is noticed.
    let items: Option<Vec<_>> = text.split(',').take(MAX_ITEMS + 1).map(item).collect();
    items
        .filter(|items| items.len() <= MAX_ITEMS)
        .ok_or(SignatureError::MalformedHeader)
}

fn item(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.trim_matches([' ', '\t']).split_once('=')?;
    let well_formed = is_token(name) && value.bytes().all(|byte| byte.is_ascii_graphic());
    well_formed.then_some((name, value))
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
