//! Finding programs, and installing Debian packages that bring them.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Result, process};

/// Where tools of cargo are installed that are not in `PATH`.
const TOOLS: &str = "target/tools";

/// The program in `PATH` or in one of the folders.
pub(crate) fn find(program: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path);
    let mut candidates = folders
        .iter()
        .cloned()
        .chain(in_path)
        .map(|dir| dir.join(program));
    candidates.find(|candidate| candidate.is_file())
}

/// A tool of cargo, installed in this version to `target/tools` if it is not in `PATH`.
pub(crate) fn cargo_tool(program: &str, version: &str) -> Result<PathBuf> {
    let folder = Path::new(TOOLS).join("bin");
    if let Some(program) = find(program, std::slice::from_ref(&folder)) {
        return Ok(program);
    }
    println!("{program} was not found, installing it to {TOOLS}");
    // Built without optimisation it is there in half the time, and its run takes seconds anyway.
    let args = ["install", "--debug", "--locked", "--quiet", program];
    let mut command = process::cargo(args);
    command.args(["--version", version, "--root", TOOLS]);
    command.args(["--target-dir", "target/tools/build"]);
    command.env("CARGO_PROFILE_DEV_DEBUG", "false");
    process::run(command)?;
    Ok(folder.join(program))
}

/// Installs a Debian package; `program` is what was looked for.
///
/// Only root on a machine with apt can: on any other the error says what to install.
pub(crate) fn apt(program: &str, package: &str) -> Result {
    let missing = format!("{program} was not found (Debian: apt-get install {package})");
    if !is_root()? || find("apt-get", &[]).is_none() {
        return Err(missing);
    }
    println!("{program} was not found, installing {package}");
    // The lists may be missing or too old to name files that still exist.
    for args in [
        &["update", "-q"][..],
        &["install", "-q", "-y", "--no-install-recommends", package],
    ] {
        let mut command = Command::new("apt-get");
        command.args(args).env("DEBIAN_FRONTEND", "noninteractive");
        process::run(command).map_err(|e| format!("{missing}; {e}"))?;
    }
    Ok(())
}

/// Whether this process runs as root.
pub(crate) fn is_root() -> Result<bool> {
    Ok(id(&["-u"])? == 0)
}

/// A number that `id` tells.
pub(crate) fn id(args: &[&str]) -> Result<u32> {
    let mut command = Command::new("id");
    command.args(args);
    let text = process::output(command)?;
    let number = text.trim().parse();
    number.map_err(|e| format!("id {}: {e}", args.join(" ")))
}

/// A new folder for one run of this tool, deleted when dropped.
#[derive(Debug)]
pub struct TempFolder(PathBuf);

impl TempFolder {
    /// Makes the folder, with this in its name.
    ///
    /// # Errors
    ///
    /// When it is there already or cannot be made.
    pub fn new(name: &str) -> Result<Self> {
        let name = format!("webhooks-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path)
            .map_err(|e| format!("cannot make the folder {}: {e}", path.display()))?;
        Ok(Self(path))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("cannot delete {}: {error}", self.0.display());
        }
    }
}
