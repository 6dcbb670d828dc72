//! Prints the public items of a crate, one a line: `webhooks-api-list target/doc/webhooks_core.json`.
//!
//! Left out is what follows from the rest: the crate's own name, the modules of other crates'
//! items, the functions of trait implementations, automatic and blanket implementations. So a list
//! changes where the API does, and not where a file is moved.
#![expect(clippy::print_stdout, reason = "a program talks to its caller")]

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use public_api::{Builder, PublicItem};
use serde_json::Value;

/// What stands before the path of an item.
const WORDS: &[&str] = &[
    "pub", "const", "async", "unsafe", "fn", "struct", "enum", "union", "trait", "type", "mod",
    "use", "static", "mut", "macro",
];

type Error = Box<dyn std::error::Error>;

fn main() -> Result<(), Error> {
    let path = std::env::args().nth(1).ok_or("which rustdoc JSON?")?;
    let path = Path::new(&path);
    check_format(path)?;
    let name = path.file_stem().ok_or("the file has no name")?;
    for line in list(path, &name.to_string_lossy())? {
        println!("{line}");
    }
    Ok(())
}

/// Whether the toolchain writes what the libraries above read.
fn check_format(path: &Path) -> Result<(), Error> {
    let json: Value = serde_json::from_str(&std::fs::read_to_string(path)?)?;
    let format = json.get("format_version").and_then(Value::as_u64);
    let known = rustdoc_types::FORMAT_VERSION;
    if format == Some(known.into()) {
        return Ok(());
    }
    let format = format.map_or("unknown".into(), |format| format.to_string());
    Err(format!(
        "this Rust writes JSON of format {format}, and xtask/api reads {known}: use Rust 1.93 to \
         1.95, or change the versions in xtask/api/Cargo.toml"
    )
    .into())
}

fn list(path: &Path, crate_name: &str) -> Result<Vec<String>, Error> {
    let api = Builder::from_rustdoc_json(path)
        .omit_auto_trait_impls(true)
        .omit_blanket_impls(true)
        .include_function_parameter_names(true)
        .build()?;
    let of_trait = |item: &&PublicItem| {
        let text = item.to_string();
        text.starts_with("impl") && text.contains(" for ")
    };
    let trait_impls: HashSet<_> = api.items().filter(of_trait).map(PublicItem::id).collect();
    let shown = api.items().filter(|item| {
        let text = item.to_string();
        let is_of_trait = item.parent_id().is_some_and(|id| trait_impls.contains(&id));
        let follows = is_of_trait && !text.starts_with("pub type ");
        !follows && !is_bare(&text)
    });
    let lines: BTreeSet<_> = shown
        .map(|item| {
            let line = shorten(&item.to_string(), crate_name);
            let path = sort_path(&line).split("::").map(str::to_owned).collect();
            // A type stands before what it implements.
            (path, line.starts_with("impl"), line)
        })
        .collect::<BTreeSet<(Vec<_>, _, _)>>();
    Ok(lines.into_iter().map(|(_, _, line)| line).collect())
}

/// Whether it says nothing: the crate itself, an `impl` that has no bounds and is of no trait, and
/// what lets a constant be a pattern.
fn is_bare(text: &str) -> bool {
    let is_crate = text.starts_with("pub mod ") && !text.contains("::");
    let is_block = text.starts_with("impl") && !text.contains(" for ") && !text.contains(": ");
    is_crate || is_block || text.contains("StructuralPartialEq ")
}

/// What the item is sorted by: its path, for an `impl` that of its type.
fn sort_path(line: &str) -> String {
    let from = match line.strip_prefix("impl") {
        Some(rest) => rest.split_once(" for ").map_or(rest, |(_, of)| of),
        None => {
            let mut words = line.split_inclusive(' ');
            let is_before = |word: &str| word.starts_with("#[") || WORDS.contains(&word.trim());
            let before = words.by_ref().take_while(|word| is_before(word));
            line.get(before.map(str::len).sum()..).unwrap_or(line)
        }
    };
    let mut path = String::new();
    let mut depth = 0_usize;
    let mut text = from.replace("::", "\0");
    text.retain(|c| c != '&');
    for c in text.trim_start().chars() {
        match c {
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            ' ' | ':' | '(' if depth == 0 && !path.is_empty() => break,
            _ if depth == 0 => path.push(c),
            _ => {}
        }
    }
    path.trim().replace('\0', "::")
}

/// Takes the crate's own name out of all paths, and crate and modules out of those of others.
fn shorten(line: &str, crate_name: &str) -> String {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let is_use = line.starts_with("pub use ");
    let mut short = String::new();
    let mut rest = line;
    while let Some(start) = rest.find(is_name) {
        let (before, from) = rest.split_at(start);
        let end = from.find(|c| !is_name(c) && c != ':').unwrap_or(from.len());
        let (word, after) = from.split_at(end);
        short.push_str(before);
        // A colon behind a name is no part of a path, and a lifetime is no crate.
        let path = word.strip_suffix(':').filter(|path| !path.ends_with(':'));
        let path = path.unwrap_or(word);
        short.push_str(match path.split_once("::") {
            Some((of, rest)) if of == crate_name => rest,
            Some(_) if !is_use && !before.ends_with("::") => without_modules(path),
            _ => path,
        });
        short.push_str(word.strip_prefix(path).unwrap_or_default());
        rest = after;
    }
    short + rest
}

/// `Formatter` of `core::fmt::Formatter`.
fn without_modules(path: &str) -> &str {
    let is_type = |segment: &str| segment.starts_with(char::is_uppercase);
    let starts = path.match_indices("::").map(|(at, mark)| at + mark.len());
    let names = std::iter::once(0)
        .chain(starts)
        .filter_map(|at| path.get(at..));
    let mut last = path;
    for name in names.filter(|name| !name.is_empty()) {
        last = name;
        if is_type(name) {
            break;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_of_others_go_and_those_of_the_crate_stay() {
        for (long, short) in [
            (
                "pub struct webhooks_core::storage::Claim",
                "pub struct storage::Claim",
            ),
            (
                "pub fn webhooks_core::Id::new(at: core::option::Option<webhooks_core::Id>) -> Self::Err",
                "pub fn Id::new(at: Option<Id>) -> Self::Err",
            ),
            (
                "pub const webhooks_core::LIMIT: alloc::vec::Vec<&'static u8>",
                "pub const LIMIT: Vec<&'static u8>",
            ),
            (
                "pub fn webhooks_core::Outgoing<'a>::new(f: impl core::fmt::Debug) -> <T as tower_service::Service<u8>>::Response",
                "pub fn Outgoing<'a>::new(f: impl Debug) -> <T as Service<u8>>::Response",
            ),
            (
                "pub use webhooks_core::storage::<<other_crate::storage::*>>",
                "pub use storage::<<other_crate::storage::*>>",
            ),
            (
                "pub webhooks_core::Notice::Dead::reason: webhooks_other::notice::Reason::Kind",
                "pub Notice::Dead::reason: Reason::Kind",
            ),
        ] {
            assert_eq!(shorten(long, "webhooks_core"), short);
        }
    }

    #[test]
    fn items_stand_below_their_type() {
        for (line, expected) in [
            ("impl Clone for storage::Claim", "storage::Claim"),
            (
                "impl<'a, F: for<'b> Fn(&'b u8)> Outgoing<'a, F>",
                "Outgoing",
            ),
            (
                "pub const fn Outgoing<'a>::new(kind: &'a str) -> Self",
                "Outgoing::new",
            ),
            ("#[non_exhaustive] pub struct Notice(u8)", "Notice"),
            (
                "pub Notice::Dead::reason: Vec<(u8, u8)>",
                "Notice::Dead::reason",
            ),
            ("pub trait Resolve: Send + Sync", "Resolve"),
            (
                "pub use storage::<<webhooks_core::storage::*>>",
                "storage::",
            ),
        ] {
            assert_eq!(sort_path(line), expected, "{line}");
        }
    }
}
