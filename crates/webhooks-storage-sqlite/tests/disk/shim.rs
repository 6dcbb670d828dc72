//! The library that stands between a process and its disk.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds it in a folder.
pub(crate) fn build(folder: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/disk/shim.c");
    let library = folder.join("shim.so");
    let mut build = Command::new("cc");
    build.args(["-shared", "-fPIC", "-O1", "-o"]);
    build.args([&library, &source]).args(["-ldl", "-lpthread"]);
    assert!(build.status().unwrap().success(), "the library is built");
    library
}
