//! `cargo xtask features`: each library crate must build alone, as its users build it.

use crate::workspace::Package;
use crate::{Result, process, workspace};

/// Checks each library crate without features, and with each of them alone.
pub(crate) fn run() -> Result {
    for package in workspace::packages()?.iter().filter(|p| p.is_library()) {
        check(package, None)?;
        for feature in &package.features {
            check(package, Some(feature))?;
        }
    }
    Ok(())
}

fn check(package: &Package, feature: Option<&str>) -> Result {
    println!("{} with {}", package.name, feature.unwrap_or("no features"));
    // Clippy, because RUSTFLAGS to the same end would build all dependencies anew.
    let args = [
        "clippy",
        "--quiet",
        "-p",
        &package.name,
        "--no-default-features",
    ];
    let mut command = process::cargo(args);
    command.args(feature.map(|feature| format!("--features={feature}")));
    command.args(["--", "-D", "warnings"]);
    process::run(command)
}
