//! What a shell and a packager need of the command: completions and manual pages.
//!
//! Both are made from the command line itself, so that they know each flag that there is.

use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::Arguments;
use crate::failure::Failure;
use crate::output::Output;

/// The name under which it is called.
const NAME: &str = "webhooks";

/// Prints what a shell needs to complete commands and flags.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    /// Writes a script for the shell to read.
    pub(crate) fn run(&self, output: &Output) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Arguments::command(), NAME, &mut script);
        output.bytes(&script)
    }
}

/// Writes manual pages, one for each command.
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// The folder for the pages, which must be there.
    directory: PathBuf,
}

impl Man {
    /// Writes them.
    ///
    /// # Errors
    ///
    /// Exit code 2 for a folder that cannot be written to.
    pub(crate) fn run(&self, output: &Output) -> Result<(), Failure> {
        let directory = self.directory.display();
        clap_mangen::generate_to(Arguments::command(), &self.directory)
            .map_err(|error| Failure::usage(format!("{directory}: {error}")))?;
        output.say(&format!("manual pages are in {directory}"));
        Ok(())
    }
}

/// Prints the version.
pub(crate) fn version(output: &Output) -> Result<(), Failure> {
    output.line(&format!("{NAME} {}", env!("CARGO_PKG_VERSION")))
}
