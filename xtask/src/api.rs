//! `cargo xtask api`: the public items of each library crate, against checked-in lists.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Result, files, process, workspace};

const LISTS: &str = "docs/api";
const RUSTDOC: &str = "xtask/api/rustdoc.sh";
const PROGRAM: &str = "target/debug/webhooks-api-list";

/// The crate that nobody calls: it is a command.
const COMMAND: &str = "webhooks-cli";

/// Compares with the lists, or with `bless` writes them anew.
pub(crate) fn run(args: &[String]) -> Result {
    let bless = match args {
        [] => false,
        [word] if word == "bless" => true,
        _ => return Err("api takes nothing, or bless".into()),
    };
    write_json()?;
    let build = ["build", "--quiet", "-p", "webhooks-api-list"];
    process::run(process::cargo(build))?;
    let mut changed = Vec::new();
    let packages = workspace::packages()?;
    let libraries = packages.iter().filter(|p| p.is_library());
    for package in libraries.filter(|p| p.name != COMMAND) {
        let list = list(&package.name)?;
        let path = Path::new(LISTS).join(&package.name).with_extension("txt");
        if bless {
            fs::create_dir_all(LISTS).map_err(|e| format!("{LISTS}: {e}"))?;
            files::write(&path, &list)?;
            continue;
        }
        // A crate without a list is new.
        let known = fs::read_to_string(&path).unwrap_or_default();
        let difference = difference(&known, &list);
        if !difference.is_empty() {
            println!("{}\n{}", path.display(), difference.join("\n"));
            changed.push(package.name.as_str());
        }
    }
    if changed.is_empty() {
        return Ok(());
    }
    let changed = changed.join(", ");
    Err(format!(
        "the public API of {changed} is another one: if it is meant to be, `cargo xtask api bless` writes the lists anew"
    ))
}

/// Has rustdoc write JSON of all crates to `target/doc`, from what the HTML is made of.
fn write_json() -> Result {
    let rustdoc = std::path::absolute(RUSTDOC).map_err(|e| e.to_string())?;
    // The same packages and features as for the HTML, or dependencies would be checked again.
    let what = [
        "doc",
        "--quiet",
        "--no-deps",
        "--workspace",
        "--all-features",
    ];
    let mut command = process::cargo(what);
    command.env("RUSTDOC", rustdoc);
    command.env("RUSTDOCFLAGS", "-Zunstable-options --output-format json");
    process::run(command)
}

fn list(package: &str) -> Result<String> {
    let json = PathBuf::from(format!("target/doc/{}.json", package.replace('-', "_")));
    let mut command = Command::new(PROGRAM);
    command.arg(json);
    process::output(command)
}

/// What went, with `-` before it, and what came, with `+`; each in its order.
fn difference(then: &str, now: &str) -> Vec<String> {
    let (old, new): (BTreeSet<_>, BTreeSet<_>) = (then.lines().collect(), now.lines().collect());
    let gone = then.lines().filter(|line| !new.contains(line));
    let come = now.lines().filter(|line| !old.contains(line));
    gone.map(|line| format!("- {line}"))
        .chain(come.map(|line| format!("+ {line}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_and_what_came_are_told() {
        let found = difference("pub fn a()\npub fn b()\n", "pub fn a()\npub fn b(u8)\n");
        assert_eq!(found, ["- pub fn b()", "+ pub fn b(u8)"]);
    }

    #[test]
    fn the_same_items_are_no_change() {
        assert!(difference("pub fn a()\n", "pub fn a()\n").is_empty());
    }
}
