//! Files of the workspace.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Result;

/// The Rust files in a folder and in those below it.
pub(crate) fn rust_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let unreadable = |e| format!("{}: {e}", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_dir() {
            files.extend(rust_below(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(files)
}

/// The Rust files in a folder and in those below it, with what they hold.
pub(crate) fn rust_texts(folder: &Path) -> Result<Vec<(PathBuf, String)>> {
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok((path, text))
    };
    rust_below(folder)?.into_iter().map(read).collect()
}

/// Writes a file, and says so.
pub(crate) fn write(path: &Path, text: &str) -> Result {
    fs::write(path, text).map_err(|e| format!("cannot write {}: {e}", path.display()))?;
    println!("wrote {}", path.display());
    Ok(())
}
