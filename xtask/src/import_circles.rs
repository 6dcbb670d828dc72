//! Files of one crate that import each other in a circle: to change one of them is to know them all.
//!
//! An import counts for the file that defines what it names, however many files it comes through. Of
//! the root of a crate what it makes public does not count, nor anywhere what only tests import.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{Attribute, Expr, ExprLit, Item, ItemMod, ItemUse, Lit, UseTree, Visibility};

use crate::Result;
use crate::workspace::Package;

/// Names through which one name is followed at most; the compiler refuses those without an end.
const MOST_NAMES: usize = 32;

/// Names, from a crate's root or from the place of an import.
type Names = Vec<String>;
/// What each file takes from each other one.
type Ties = BTreeMap<PathBuf, BTreeMap<PathBuf, BTreeSet<String>>>;

/// The circles of all targets of a package, as texts.
pub(crate) fn of(package: &Package) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for root in &package.roots {
        found.extend(circles(&Crate::read(root)?.ties()));
    }
    Ok(found)
}

/// What one target is compiled from.
#[derive(Default)]
struct Crate {
    /// The file of each module.
    modules: HashMap<Names, PathBuf>,
    /// What each module gives another name, or its own.
    aliases: HashMap<(Names, String), Names>,
    /// Who names what.
    imports: Vec<(Names, Names)>,
}

impl Crate {
    fn read(root: &Path) -> Result<Self> {
        let mut read = Self::default();
        let folder = root.parent().unwrap_or(root).to_owned();
        let mut left = vec![(root.to_owned(), folder, Names::new())];
        while let Some((file, folder, module)) = left.pop() {
            let text = fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
            for child in read.add(&file, &module, &text)? {
                let below = folder.join(&child.name);
                let (of_child, below) = match child.path {
                    // What such a file declares lies beside it.
                    Some(path) => {
                        let named = file.with_file_name(path);
                        let beside = named.parent().unwrap_or(&below).to_owned();
                        (named, beside)
                    }
                    None if below.with_extension("rs").exists() => {
                        (below.with_extension("rs"), below)
                    }
                    None => (below.join("mod.rs"), below),
                };
                left.push((of_child, below, [&module[..], &[child.name]].concat()));
            }
        }
        Ok(read)
    }

    /// Takes a file in; its modules that have files of their own.
    fn add(&mut self, file: &Path, module: &[String], text: &str) -> Result<Vec<Child>> {
        let parsed = syn::parse_file(text).map_err(|e| format!("{}: {e}", file.display()))?;
        let mut reader = Reader {
            of: self,
            file,
            module: module.to_vec(),
            children: Vec::new(),
        };
        reader.of.modules.insert(module.to_vec(), file.to_owned());
        reader.visit_file(&parsed);
        Ok(reader.children)
    }

    fn ties(&self) -> Ties {
        let mut ties = Ties::new();
        for (module, path) in &self.imports {
            let Some(from) = self.modules.get(module) else {
                continue;
            };
            if let Some(to) = self.file_of(module, path, 0).filter(|to| *to != from) {
                let names = ties.entry(from.clone()).or_default();
                let names = names.entry(to.clone()).or_default();
                names.extend(path.last().cloned());
            }
        }
        ties
    }

    /// The file that defines what a module means by a path, if it is of this crate.
    fn file_of(&self, module: &[String], path: &[String], depth: usize) -> Option<&PathBuf> {
        let (mut at, mut rest) = self.beginning(module, path)?;
        while let [name, below @ ..] = rest {
            let inner = [&at[..], std::slice::from_ref(name)].concat();
            if let Some(meant) = self.aliases.get(&(at.clone(), name.clone()))
                && !self.modules.contains_key(&inner)
                && depth < MOST_NAMES
            {
                return self.file_of(&at, &[meant, below].concat(), depth + 1);
            }
            if !self.modules.contains_key(&inner) {
                break;
            }
            (at, rest) = (inner, below);
        }
        self.modules.get(&at)
    }

    /// The module in which a path begins, and what is left of the path there.
    fn beginning<'p>(
        &self,
        module: &[String],
        path: &'p [String],
    ) -> Option<(Names, &'p [String])> {
        let mut at = module.to_vec();
        let (first, mut rest) = path.split_first()?;
        match first.as_str() {
            "crate" => at.clear(),
            "self" => {}
            "super" => {
                at.pop();
                while let Some(("super", below)) = rest.split_first().map(|(n, b)| (n.as_str(), b))
                {
                    at.pop();
                    rest = below;
                }
            }
            _ => {
                let inner = [&at[..], std::slice::from_ref(first)].concat();
                let alias = (at.clone(), first.clone());
                let is_ours = self.modules.contains_key(&inner)
                    || self
                        .aliases
                        .get(&alias)
                        .is_some_and(|meant| meant.first() != Some(first));
                return is_ours.then_some((at, path));
            }
        }
        Some((at, rest))
    }
}

/// A module with a file of its own, which an attribute may name.
struct Child {
    name: String,
    path: Option<String>,
}

/// Reads one file of a [`Crate`].
struct Reader<'a> {
    of: &'a mut Crate,
    file: &'a Path,
    module: Names,
    children: Vec<Child>,
}

impl Reader<'_> {
    fn import(&mut self, before: &Names, tree: &UseTree) {
        let with = |name: &syn::Ident| [&before[..], &[name.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.import(&with(&path.ident), &path.tree),
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.import(before, tree);
                }
            }
            UseTree::Name(name) if name.ident == "self" => {
                self.name(before.last().cloned(), before)
            }
            UseTree::Name(name) => self.name(Some(name.ident.to_string()), &with(&name.ident)),
            UseTree::Rename(name) => self.name(Some(name.rename.to_string()), &with(&name.ident)),
            UseTree::Glob(_) => self.of.imports.push((self.module.clone(), before.clone())),
        }
    }

    fn name(&mut self, name: Option<String>, path: &Names) {
        self.of.imports.push((self.module.clone(), path.clone()));
        if let Some(name) = name {
            self.of
                .aliases
                .insert((self.module.clone(), name), path.clone());
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes: &[Attribute] = match item {
            Item::Mod(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            _ => &[],
        };
        if !attributes.iter().any(is_for_tests) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        let name = item.ident.to_string();
        let Some((_, items)) = &item.content else {
            let path = item.attrs.iter().find_map(path_of);
            self.children.push(Child { name, path });
            return;
        };
        self.module.push(name);
        self.of
            .modules
            .insert(self.module.clone(), self.file.to_owned());
        items.iter().for_each(|item| self.visit_item(item));
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let counted = self.of.imports.len();
        self.import(&Names::new(), &item.tree);
        if self.module.is_empty() && !matches!(item.vis, Visibility::Inherited) {
            self.of.imports.truncate(counted);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Names = path.segments.iter().map(|s| s.ident.to_string()).collect();
        let first = names.first().map_or("", String::as_str);
        if names.len() > 1 && ["crate", "self", "super"].contains(&first) {
            self.of.imports.push((self.module.clone(), names));
        }
        visit::visit_path(self, path);
    }
}

/// The file that a `#[path = ".."]` names.
fn path_of(attribute: &Attribute) -> Option<String> {
    let named = attribute.meta.require_name_value().ok()?;
    match &named.value {
        Expr::Lit(ExprLit {
            lit: Lit::Str(path),
            ..
        }) if named.path.is_ident("path") => Some(path.value()),
        _ => None,
    }
}

fn is_for_tests(attribute: &Attribute) -> bool {
    let condition = attribute.meta.require_list().ok();
    attribute.path().is_ident("cfg") && condition.is_some_and(|c| c.tokens.to_string() == "test")
}

/// The circles, each as the files that are in it and what ties them.
fn circles(ties: &Ties) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for file in ties.keys() {
        let reached = reached_from(ties, file);
        if !reached.contains(file) || seen.contains(file) {
            continue;
        }
        let is_in = |other: &&&PathBuf| reached_from(ties, other).contains(file);
        let circle: BTreeSet<&PathBuf> = reached.iter().filter(is_in).copied().collect();
        let mut lines = vec!["files that import each other in a circle:".to_owned()];
        for (from, targets) in ties.iter().filter(|(from, _)| circle.contains(from)) {
            for (to, names) in targets.iter().filter(|(to, _)| circle.contains(to)) {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                let (from, to, names) = (from.display(), to.display(), names.join(", "));
                lines.push(format!("  {from} takes from {to}: {names}"));
            }
        }
        seen.extend(circle);
        found.push(lines.join("\n"));
    }
    found
}

/// The files to which imports lead from one, itself only if they lead back.
fn reached_from<'t>(ties: &'t Ties, file: &PathBuf) -> BTreeSet<&'t PathBuf> {
    let mut reached = BTreeSet::new();
    let mut left: Vec<&PathBuf> = ties
        .get(file)
        .into_iter()
        .flat_map(BTreeMap::keys)
        .collect();
    while let Some(file) = left.pop() {
        if reached.insert(file) {
            left.extend(ties.get(file).into_iter().flat_map(BTreeMap::keys));
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The circles of a crate of these files, each under the name of its module.
    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let mut read = Crate::default();
        for (module, text) in files {
            let names = module.split("::").filter(|name| !name.is_empty());
            let names: Names = names.map(str::to_owned).collect();
            read.add(Path::new(module), &names, text).unwrap();
        }
        circles(&read.ties())
    }

    #[test]
    fn a_circle_is_named_with_what_ties_it() {
        let found = found(&[
            ("a", "use crate::b::{B, other as renamed};"),
            ("b", "use super::c::C;"),
            ("c", "fn f() -> u8 { crate::a::f() }"),
            ("d", "use crate::a::A;"),
        ]);
        let lines = [
            "files that import each other in a circle:",
            "  a takes from b: B, other",
            "  b takes from c: C",
            "  c takes from a: f",
        ];
        assert_eq!(found, [lines.join("\n")]);
    }

    #[test]
    fn imports_that_lead_one_way_pass() {
        let files = [
            (
                "",
                "mod a; mod b; use self::a::A; pub use self::b::B; pub type Answer = u8;",
            ),
            ("a", "use std::fmt; use serde::b::A; use crate::b::B;"),
            ("b", "use crate::Answer; use tokio::a;"),
        ];
        assert_eq!(found(&files), Vec::<String>::new());
    }

    #[test]
    fn a_name_is_followed_to_the_file_that_defines_it() {
        let root = ("", "pub use self::a::A; pub use self::b::B as C;");
        let circle = [root, ("a", "use crate::C;"), ("b", "use crate::A;")];
        assert_eq!(found(&circle).len(), 1);
        // A folder whose files take nothing from the one above them but what comes through it.
        let below = [
            ("f", "pub use self::a::A; use self::b::B;"),
            ("f::a", "pub struct A;"),
            ("f::b", "use super::A;"),
        ];
        assert_eq!(found(&below), Vec::<String>::new());
        assert_eq!(
            found(&[("f", "use self::a::A;"), ("f::a", "use super::f;")]).len(),
            1
        );
    }

    #[test]
    fn what_only_tests_import_does_not_count() {
        let tests = "#[cfg(test)] mod tests { use crate::b::B; use super::*; }";
        assert_eq!(
            found(&[("a", tests), ("b", "use crate::a::A;")]),
            Vec::<String>::new()
        );
        let inner = "mod inner { use crate::b::B; }";
        assert_eq!(found(&[("a", inner), ("b", "use crate::a::A;")]).len(), 1);
    }
}
