//! A request as it was captured: lines of headers, an empty line, and the body byte by byte.
//!
//! That is how HTTP/1.1 writes a request (RFC 9112), so that what a proxy or `nc` has written can be read
//! as it is. The line with method and path may be there or not. Lines end with a line feed, or with a
//! carriage return and a line feed.

use std::path::Path;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::failure::Failure;
use crate::input;

/// What was captured of a request.
#[derive(Debug)]
pub(super) struct CapturedRequest {
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl CapturedRequest {
    /// Reads one from one file.
    ///
    /// # Errors
    ///
    /// Exit code 2 for a file that cannot be read, or without an empty line behind its headers.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let bytes = input::file_bytes(path)?;
        let (head, body) = parts(&bytes).ok_or_else(|| {
            let name = path.display();
            Failure::usage(format!("{name}: no empty line stands behind the headers"))
        })?;
        Ok(Self {
            headers: headers(head, path)?,
            body: body.to_vec(),
        })
    }

    /// Reads one from a file of headers and one of its body.
    ///
    /// # Errors
    ///
    /// Exit code 2 for a file that cannot be read, and for what is no header.
    pub(super) fn of_two(head: &Path, body: &Path) -> Result<Self, Failure> {
        Ok(Self {
            headers: headers(&input::file_bytes(head)?, head)?,
            body: input::file_bytes(body)?,
        })
    }
}

/// The bytes before and behind the first empty line.
fn parts(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut start = 0;
    loop {
        let rest = bytes.get(start..)?;
        let length = rest.iter().position(|byte| *byte == b'\n')?;
        let line = rest.get(..length)?;
        let next = start + length + 1;
        if line.strip_suffix(b"\r").unwrap_or(line).is_empty() {
            return Some((bytes.get(..start)?, bytes.get(next..)?));
        }
        start = next;
    }
}

/// Reads `Name: value`, line by line.
fn headers(head: &[u8], path: &Path) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    for (index, line) in head.split(|byte| *byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        let is_start = index == 0 && line.ends_with(b"HTTP/1.1");
        if line.is_empty() || is_start {
            continue;
        }
        let header = header(line).ok_or_else(|| {
            // The line itself is not quoted: it may be a credential.
            let (name, number) = (path.display(), index + 1);
            Failure::usage(format!("{name}: line {number} is no header, Name: value"))
        })?;
        headers.append(header.0, header.1);
    }
    Ok(headers)
}

/// The name and the value of one line.
fn header(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = line.split_at_checked(colon)?;
    let value = value.get(1..)?.trim_ascii();
    let name = HeaderName::from_bytes(name.trim_ascii()).ok()?;
    Some((name, HeaderValue::from_bytes(value).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_with_either_end_of_line() {
        for text in [
            &b"POST /hooks HTTP/1.1\r\nA: 1\r\nb:2\r\n\r\n{\n\n}"[..],
            b"A: 1\nb: 2\n\n{\n\n}",
        ] {
            let (head, body) = parts(text).unwrap();
            let headers = headers(head, Path::new("f")).unwrap();
            assert_eq!(headers.len(), 2);
            assert!(headers["a"] == "1" && headers["b"] == "2");
            assert_eq!(body, b"{\n\n}");
        }
        assert!(parts(b"A: 1\nB: 2").is_none());
        assert!(headers(b"no header", Path::new("f")).is_err());
    }
}
