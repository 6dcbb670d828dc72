//! Text from elsewhere, so that it is only text: no sequence that a terminal obeys, and no character that
//! turns the direction in which a line is read.

use std::borrow::Cow;
use std::fmt::Write;

/// Whether a character does something to a terminal, or to how a line is read.
fn is_active(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

/// As it is shown to people: what is active is written out.
pub(crate) fn safe(text: &str) -> Cow<'_, str> {
    if !text.contains(is_active) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match is_active(c) {
            true => safe.extend(c.escape_default()),
            false => safe.push(c),
        }
    }
    Cow::Owned(safe)
}

/// As safe JSON: the same document, with what is active escaped in its texts.
pub(crate) fn json_safe(json: &str) -> Cow<'_, str> {
    // Those between texts are spaces, and within texts JSON has none of them.
    let is_active = |c: char| is_active(c) && !matches!(c, '\n' | '\r' | '\t');
    if !json.contains(is_active) {
        return Cow::Borrowed(json);
    }
    let mut safe = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        match is_active(c) {
            // To write to a text does not fail. All of them are of the first plane: one unit each.
            true => drop(write!(safe, "\\u{:04x}", u32::from(c))),
            false => safe.push(c),
        }
    }
    Cow::Owned(safe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_that_a_terminal_obeys() {
        let hostile = "a\u{1b}[31mb\u{9b}c\u{202e}d\r\n\te\u{7f}\u{0}é";
        let shown = safe(hostile);
        assert_eq!(
            shown,
            "a\\u{1b}[31mb\\u{9b}c\\u{202e}d\\r\\n\\te\\u{7f}\\u{0}é"
        );
        assert_eq!(safe("plain é"), "plain é");
    }

    #[test]
    fn json_stays_the_same_document() {
        let json = "{\"a\":\"\u{9b}x\u{202e}\u{7f}é\"}";
        let safe = json_safe(json);
        assert_eq!(safe, "{\"a\":\"\\u009bx\\u202e\\u007fé\"}");
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(read(&safe), read(json));
    }
}
