//! What a command reads: a text of its line, a file, or standard input.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, stdin};
use std::path::Path;

use serde_json::value::RawValue;
use webhooks_core::Secret;

use crate::failure::Failure;

/// The longest input that is read as a whole, in bytes.
const MAX: u64 = 16 << 20;
/// The longest secret, in bytes.
const MAX_SECRET: usize = 4 << 10;

/// What `TEXT`, `@FILE` or `-` stands for.
pub(crate) fn text(of: &str) -> Result<String, Failure> {
    match (of, of.strip_prefix('@')) {
        ("-", _) => file(Path::new("-")),
        (_, Some(path)) => file(Path::new(path)),
        (text, None) => Ok(text.to_owned()),
    }
}

/// What `TEXT`, `@FILE` or `-` stands for, byte by byte.
pub(crate) fn bytes(of: &str) -> Result<Vec<u8>, Failure> {
    match (of, of.strip_prefix('@')) {
        ("-", _) => whole(stdin().lock(), "standard input"),
        (_, Some(path)) => file_bytes(Path::new(path)),
        (text, None) => Ok(text.as_bytes().to_vec()),
    }
}

/// The whole of a file, which is a text; `-` is standard input.
pub(crate) fn file(path: &Path) -> Result<String, Failure> {
    let bytes = file_bytes(path)?;
    String::from_utf8(bytes).map_err(|_| {
        let name = path.display();
        Failure::usage(format!("{name}: it is no text in UTF-8"))
    })
}

/// The whole of a file, byte by byte; `-` is standard input.
pub(crate) fn file_bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    if path.as_os_str() == "-" {
        return whole(stdin().lock(), "standard input");
    }
    let name = path.display().to_string();
    let file = File::open(path).map_err(|error| Failure::usage(format!("{name}: {error}")))?;
    whole(file, &name)
}

/// Line by line, from a file or, for `-`, standard input.
pub(crate) fn lines(path: &Path) -> Result<Box<dyn BufRead + Send>, Failure> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(BufReader::new(stdin())));
    }
    let file = File::open(path);
    let file = file.map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
    Ok(Box::new(BufReader::new(file)))
}

/// What `JSON`, `@FILE` or `-` stands for, byte by byte as it is there.
pub(crate) fn json(of: &str) -> Result<Box<RawValue>, Failure> {
    let text = text(of)?;
    serde_json::from_str(text.trim()).map_err(|error| {
        // The text itself is not quoted: it may hold anything.
        Failure::usage(format!("the data is no JSON: {error}"))
    })
}

/// The secret in a file; `-` is standard input.
pub(crate) fn secret(path: &Path) -> Result<Secret, Failure> {
    let text = file(path)?;
    let text = text.trim_end_matches(['\r', '\n']);
    if (1..=MAX_SECRET).contains(&text.len()) {
        return Ok(Secret::from(text));
    }
    let (length, path) = (text.len(), path.display());
    let text = format!("{path}: a secret has 1 to {MAX_SECRET} bytes, this has {length}");
    Err(Failure::usage(text))
}

/// Everything that there is, within bounds.
fn whole(from: impl Read, name: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = from.take(MAX + 1).read_to_end(&mut bytes);
    read.map_err(|error| Failure::usage(format!("{name}: {error}")))?;
    match u64::try_from(bytes.len()) {
        Ok(..=MAX) => Ok(bytes),
        _ => Err(Failure::usage(format!("{name} is longer than {MAX} bytes"))),
    }
}
