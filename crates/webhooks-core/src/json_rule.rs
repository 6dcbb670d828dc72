//! Which JSON an event may carry: one rule for every way of sending, before anything is stored.

use crate::{Result, WebhookError};

/// How deep arrays and objects may be nested in the data of an event, the outermost one counted.
/// The envelope, and the two levels of a batch, come on top.
///
/// Parsers of receivers have limits of their own, that of serde_json is 128, and those that recurse
/// run out of stack. What was stored and cannot be read would be tried until it is a dead letter.
pub const MAX_DATA_DEPTH: usize = 100;

/// Checks the data of an event, which must be JSON already: arrays and objects nested at most
/// [`MAX_DATA_DEPTH`] deep, and no `\u` escape of half a surrogate pair, in keys neither, since that
/// is no Unicode text (RFC 8259 section 8.2) and common readers refuse it. Everything else is sent
/// as it is: numbers of any size and precision, keys that stand twice, `\u0000`.
///
/// # Errors
///
/// [`WebhookError::InvalidEvent`] that names the broken rule.
pub fn check_data(json: &[u8]) -> Result<()> {
    // Most events have neither enough brackets nor any escape, which is seen at a fraction of the
    // cost. The two opening brackets differ in one bit. Those in strings are counted too, which
    // only sends the text through the slow way.
    let brackets = json.iter().filter(|byte| **byte | 0x20 == b'{').count();
    if brackets <= MAX_DATA_DEPTH && !json.contains(&b'\\') {
        return Ok(());
    }
    match problem(json) {
        None => Ok(()),
        Some(problem) => Err(WebhookError::InvalidEvent(problem.into())),
    }
}

/// One pass with no recursion.
fn problem(json: &[u8]) -> Option<String> {
    let (mut depth, mut rest) = (0_usize, json);
    // Bytes suffice: in UTF-8 no byte of a longer character looks like a bracket, a quote or a
    // backslash.
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'[' | b'{' => {
                depth += 1;
                if depth > MAX_DATA_DEPTH {
                    return Some(format!("data is nested more than {MAX_DATA_DEPTH} deep"));
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => match after_string(after) {
                Some(after) => rest = after,
                None => {
                    let text = "data holds half of a surrogate pair, which is no unicode text";
                    return Some(text.into());
                }
            },
            _ => {}
        }
    }
    None
}

/// What follows a string, whose opening quote is passed already; `None` if half a surrogate pair is
/// in it.
fn after_string(mut text: &[u8]) -> Option<&[u8]> {
    loop {
        match text {
            [b'"', rest @ ..] => return Some(rest),
            // A high surrogate has to be followed by a low one in the same form; everything else of
            // that range is half a pair.
            [b'\\', b'u', rest @ ..] => match (unit(rest), rest.get(4..)) {
                (Some(0xd800..=0xdbff), Some([b'\\', b'u', low @ ..]))
                    if matches!(unit(low), Some(0xdc00..=0xdfff)) =>
                {
                    text = low.get(4..).unwrap_or_default();
                }
                (Some(0xd800..=0xdfff), _) => return None,
                (_, rest) => text = rest.unwrap_or_default(),
            },
            // The backslash takes the next byte with it, so that an escaped quote ends no string.
            [b'\\', _, rest @ ..] | [_, rest @ ..] => text = rest,
            // JSON that ends within a string is no JSON; whoever has written it is told so by the
            // parser.
            [] => return Some(&[]),
        }
    }
}

/// The UTF-16 code unit that four hexadecimal digits name.
fn unit(digits: &[u8]) -> Option<u16> {
    let digits = std::str::from_utf8(digits.get(..4)?).ok()?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(json: &str) -> Option<String> {
        let error = check_data(json.as_bytes()).err()?;
        assert!(matches!(error, WebhookError::InvalidEvent(_)));
        Some(error.to_string())
    }

    fn nested(depth: usize) -> String {
        format!("{}1{}", "[".repeat(depth), "]".repeat(depth))
    }

    #[test]
    fn a_hundred_levels_are_the_most() {
        assert_eq!(verdict(&nested(100)), None);
        assert!(
            verdict(&nested(101))
                .unwrap()
                .contains("more than 100 deep")
        );
        assert!(
            verdict(&nested(1_000_000))
                .unwrap()
                .contains("more than 100 deep")
        );
        let mixed = format!("{}1{}", "[{\"a\":".repeat(50), "}]".repeat(50));
        assert_eq!(verdict(&mixed), None);
        assert!(verdict(&format!("[{mixed}]")).is_some());
    }

    #[test]
    fn only_brackets_that_are_open_count() {
        assert_eq!(verdict(&format!("[{}1]", "[],".repeat(500))), None);
        assert_eq!(verdict(&format!("\"{}\"", "[".repeat(500))), None);
        assert_eq!(verdict(&format!("\"\\\"{}\\\\\"", "[".repeat(500))), None);
        assert!(verdict(&format!("[\"\\\\\",{}]", nested(100))).is_some());
    }

    #[test]
    fn halves_of_pairs_are_refused() {
        for bad in [
            r#""\ud800""#,
            r#""\uDFFF""#,
            r#""\ud83dx""#,
            r#""\ud83d\n""#,
            r#""\ud83d\u0041""#,
            r#""\ude00\ud83d""#,
            r#""\ud83d\ud83d\ude00""#,
            r#""\\\ud800""#,
            r#"{"\ud800":1}"#,
        ] {
            assert!(verdict(bad).unwrap().contains("surrogate"), "{bad}");
        }
        for good in [
            r#""\ud83d\ude00""#,
            r#""\\ud800""#,
            r#""\u0000\uffff\ue000\ud7ff""#,
            r#""\uD83D\uDE00\uD83D\uDE00""#,
            "\"\u{10ffff}\"",
        ] {
            assert_eq!(verdict(good), None, "{good}");
        }
    }
}
