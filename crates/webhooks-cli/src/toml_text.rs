//! TOML with the place of what is wrong in it.

use std::path::Path;

use serde::de::DeserializeOwned;

use crate::failure::Failure;

/// Reads a text of a file of this name. What is wrong is told with line and column; the line itself is not
/// shown, since a key may stand in it.
pub(crate) fn read<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, Failure> {
    toml::from_str(text).map_err(|error| wrong(path, text, &error))
}

fn wrong(path: &Path, text: &str, error: &toml::de::Error) -> Failure {
    let at = error.span().map_or(0, |span| span.start).min(text.len());
    let before = text.get(..at).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let last = before.rsplit('\n').next();
    let column = last.map_or(0, |of| of.chars().count()) + 1;
    let message = error.message().trim_end();
    Failure::usage(format!("{}:{line}:{column}: {message}", path.display()))
}
