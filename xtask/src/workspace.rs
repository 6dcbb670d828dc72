//! The workspace as `cargo metadata` tells it.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{Result, process};

/// A package of the workspace.
#[derive(Clone, Debug, Default)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) features: Vec<String>,
    /// Names of what it depends on, development dependencies aside.
    pub(crate) dependencies: Vec<String>,
    /// The first file of each of its targets: library, programs, tests and the like.
    pub(crate) roots: Vec<PathBuf>,
}

impl Package {
    /// Whether it is one of the published crates, not a tool or the tests.
    pub(crate) fn is_library(&self) -> bool {
        let tools = [
            "xtask",
            "webhooks-api-list",
            "webhooks-tests",
            "webhooks-micro",
            "webhooks-fuzz-targets",
        ];
        !tools.contains(&self.name.as_str())
    }
}

/// The folder of the workspace.
pub(crate) fn root() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    root.map(Path::to_owned)
        .ok_or_else(|| "the folder of xtask has no parent".to_owned())
}

/// The packages of the workspace, by name.
pub(crate) fn packages() -> Result<Vec<Package>> {
    let metadata = metadata(&["--no-deps"])?;
    let mut packages: Vec<_> = array(&metadata, "packages").map(package).collect();
    packages.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(packages)
}

/// What `cargo metadata` prints.
pub(crate) fn metadata(args: &[&str]) -> Result<Value> {
    let command = process::cargo(["metadata", "--format-version", "1"].iter().chain(args));
    let text = process::output(command)?;
    serde_json::from_str(&text).map_err(|e| format!("cargo metadata: {e}"))
}

/// The items of an array in an object; none if there is no such array.
pub(crate) fn array<'a>(of: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    of.get(key).and_then(Value::as_array).into_iter().flatten()
}

/// A text in an object; empty if there is none.
pub(crate) fn text<'a>(of: &'a Value, key: &str) -> &'a str {
    of.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn package(package: &Value) -> Package {
    let features = package.get("features").and_then(Value::as_object);
    Package {
        name: text(package, "name").to_owned(),
        features: features
            .into_iter()
            .flat_map(|f| f.keys().cloned())
            .collect(),
        dependencies: array(package, "dependencies")
            .filter(|dependency| text(dependency, "kind") != "dev")
            .map(|dependency| text(dependency, "name").to_owned())
            .collect(),
        roots: array(package, "targets")
            .map(|target| text(target, "src_path").into())
            .collect(),
    }
}
