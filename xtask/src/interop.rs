//! `cargo xtask interop`: our signatures against the verifiers of other languages.

use std::path::Path;
use std::process::Command;

use crate::Result;
use crate::install::TempFolder;
use crate::process::Stop;

const SCRIPT: &str = "tests/interop/run.sh";

/// Runs the script with a folder that it may fill, and that is deleted at the end.
pub(crate) fn run() -> Result {
    if !Path::new(SCRIPT).is_file() {
        return Err(format!("{SCRIPT} was not found"));
    }
    let stop = Stop::on_signals()?;
    let folder = TempFolder::new("interop")?;
    let mut command = Command::new("bash");
    command.arg(SCRIPT).arg(folder.path());
    stop.run(command)
}
