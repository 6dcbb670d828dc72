//! Whether the head of a response has the form that RFC 9112 asks for.
//!
//! An odd head is read as curl reads it, since the receiver has done its work. But two readers may
//! differ in where such a response ends, so that its connection carries no other request.

/// Follows the bytes of one head, however they come in pieces.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HeadForm(At);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    /// In the status line, which says nothing of where the response ends.
    #[default]
    Status,
    /// At the beginning of a line.
    Line,
    /// Behind a carriage return at the beginning of a line.
    BlankLine,
    /// In the name of a header.
    Name,
    /// Behind the colon of a header.
    Value,
    /// Behind the head.
    Body,
}

impl HeadForm {
    /// Goes on with these bytes; `false` once something in them is odd.
    pub(crate) fn follow(&mut self, mut bytes: &[u8]) -> bool {
        while let Some((&byte, rest)) = bytes.split_first() {
            bytes = rest;
            self.0 = match (self.0, byte) {
                (At::Body, _) => return true,
                (At::Status | At::Value, _) => match line_end(byte, rest) {
                    Some(behind) => {
                        bytes = behind;
                        At::Line
                    }
                    None => return true,
                },
                (At::Line, b'\r') => At::BlankLine,
                (At::Line | At::BlankLine, b'\n') => At::Body,
                (At::Line | At::Name, byte) if is_token(byte) => At::Name,
                (At::Name, b':') => At::Value,
                _ => return false,
            };
        }
        true
    }
}

/// What follows the end of the line that `byte` and `rest` begin, if that is there.
fn line_end(byte: u8, rest: &[u8]) -> Option<&[u8]> {
    if byte == b'\n' {
        return Some(rest);
    }
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    rest.get(end + 1..)
}

/// Whether a name may hold this byte (RFC 9110 section 5.6.2).
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However the bytes are cut, the verdict is the same.
    fn is_plain(head: &str) -> bool {
        let whole = HeadForm::default().follow(head.as_bytes());
        for size in 1..head.len() {
            let mut form = HeadForm::default();
            let mut pieces = head.as_bytes().chunks(size);
            assert_eq!(pieces.all(|piece| form.follow(piece)), whole);
        }
        whole
    }

    #[test]
    fn a_head_is_plain_if_each_line_is_a_name_a_colon_and_a_value() {
        assert!(is_plain(
            "HTTP/1.1 200 OK\r\nA: b\r\nX-Y:\r\n\r\n: not read"
        ));
        assert!(is_plain("HTTP/1.1 204\nA: b: c\n\n [0]: not read"));
        for odd in [
            "A : b",
            ": b",
            " a: b",
            "\ta",
            "X[0]: b",
            "no colon",
            "A\u{e9}: b",
        ] {
            assert!(!is_plain(&format!(
                "HTTP/1.1 200 OK\r\nB: c\r\n{odd}\r\n\r\n"
            )));
        }
    }
}
