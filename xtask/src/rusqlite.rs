//! `cargo xtask rusqlite`: the SQLite storage beside the crates that link the same library.

use std::path::Path;

use crate::install::TempFolder;
use crate::{Result, process, workspace};

/// Packages of `tests/rusqlite/`, each with a lock of its own: only one version of `libsqlite3-sys`
/// fits in a program, and these want both ends of what the storage takes.
const BESIDE: &[&str] = &["sqlx", "diesel", "newest"];

/// Runs each of them: it sends an event inside a transaction of its own, in the file of a storage.
pub(crate) fn run() -> Result {
    let root = workspace::root()?;
    let folder = TempFolder::new("rusqlite")?;
    for beside in BESIDE {
        println!("webhooks-storage-sqlite beside {beside}");
        let manifest = root.join("tests/rusqlite").join(beside).join("Cargo.toml");
        let file = folder.path().join(format!("{beside}.db"));
        send(&root, &manifest, &file)?;
    }
    Ok(())
}

fn send(root: &Path, manifest: &Path, file: &Path) -> Result {
    let mut command = process::cargo(["run", "--quiet", "--locked", "--manifest-path"]);
    command.arg(manifest).arg("--target-dir");
    command
        .arg(root.join("target/rusqlite"))
        .arg("--")
        .arg(file);
    process::run(command)
}
