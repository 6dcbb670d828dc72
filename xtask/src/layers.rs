//! `cargo xtask layers`: which crate may depend on which, and that no files import each other in a
//! circle. The drawing is in `docs/ARCHITECTURE.md`.
//!
//! Development dependencies are free: only what a crate brings to its users counts.

use std::collections::BTreeSet;

use crate::workspace::Package;
use crate::{Result, files, import_circles, process, workspace};

/// All our crates, and those of ours that each may depend on.
const LAYERS: &[(&str, &[&str])] = &[
    ("webhooks-core", &[]),
    ("webhooks-storage-memory", &["webhooks-core"]),
    ("webhooks-storage-postgres", &["webhooks-core"]),
    ("webhooks-storage-redis", &["webhooks-core"]),
    ("webhooks-storage-sqlite", &["webhooks-core"]),
    ("webhooks-storage-testkit", &["webhooks-core"]),
    ("webhooks-telemetry", &["webhooks-core"]),
    ("webhooks-testing", &["webhooks-core"]),
    ("webhooks-resilience", &["webhooks-core"]),
    ("webhooks-delivery", &["webhooks-core"]),
    ("webhooks-receiver", &["webhooks-core"]),
    (
        "better-auth-webhooks",
        &[
            "webhooks-core",
            "webhooks-storage-memory",
            "webhooks-storage-postgres",
            "webhooks-storage-redis",
            "webhooks-storage-sqlite",
            "webhooks-storage-testkit",
            "webhooks-resilience",
            "webhooks-delivery",
            "webhooks-receiver",
        ],
    ),
    (
        "webhooks-server",
        &[
            "webhooks-core",
            "better-auth-webhooks",
            "webhooks-telemetry",
        ],
    ),
    (
        "webhooks-cli",
        &[
            "webhooks-core",
            "better-auth-webhooks",
            "webhooks-server",
            "webhooks-telemetry",
        ],
    ),
];

/// Crates of others that only these of ours may depend on.
const OWNED: &[(&str, &[&str])] = &[
    ("failsafe", &["webhooks-resilience"]),
    ("governor", &["webhooks-resilience"]),
    ("backoff", &["webhooks-storage-postgres"]),
    ("fred", &["webhooks-storage-redis", "webhooks-cli"]),
    ("rusqlite", &["webhooks-storage-sqlite"]),
    (
        "tokio-postgres",
        &["webhooks-storage-postgres", "webhooks-cli"],
    ),
    ("deadpool", &["webhooks-storage-postgres"]),
    (
        "deadpool-postgres",
        &["webhooks-storage-postgres", "webhooks-cli"],
    ),
    ("hyper", &["webhooks-delivery", "webhooks-cli"]),
    ("hyper-util", &["webhooks-delivery", "webhooks-cli"]),
    ("hyper-rustls", &["webhooks-delivery"]),
    ("jsonschema", &["webhooks-server"]),
    ("prometheus-client", &["webhooks-telemetry"]),
    (
        "axum",
        &["webhooks-receiver", "webhooks-server", "webhooks-cli"],
    ),
    ("clap", &["webhooks-cli"]),
    ("clap_complete", &["webhooks-cli"]),
    ("clap_mangen", &["webhooks-cli"]),
    ("comfy-table", &["webhooks-cli"]),
    ("indicatif", &["webhooks-cli"]),
    ("reqwest", &["webhooks-cli"]),
    ("axum-core", &["webhooks-receiver"]),
    ("tower", &["webhooks-receiver"]),
    ("utoipa", &["webhooks-server"]),
    ("utoipa-axum", &["webhooks-server"]),
];

/// What nothing below these crates, without their features, may bring.
const WITHOUT_RUNTIME: &[&str] = &["webhooks-core", "webhooks-receiver"];
const RUNTIMES: &[&str] = &[
    "tokio",
    "hyper",
    "fred",
    "tokio-postgres",
    "failsafe",
    "governor",
];

/// How many crates a consumer builds who depends on the receiver alone, the receiver included.
const RECEIVER_CRATES: usize = 45;

/// Folders of a crate that import of the rest of it only what is named here.
const CLOSED: &[(&str, &[&str])] = &[
    (
        "crates/webhooks-delivery/src/http",
        &["crate::http", "crate::observer"],
    ),
    (
        "crates/webhooks-delivery/src/schedule",
        &[
            "crate::schedule",
            "crate::metrics",
            "crate::notice",
            "crate::one_or_more",
            "crate::settings",
        ],
    ),
];

/// What the scheduler, which only decides, must not name: whoever waits, locks or reads a clock.
const PURE: &str = "crates/webhooks-delivery/src/schedule";
const IMPURE: &[&str] = &[
    "tokio", "Mutex", "RwLock", "Atomic", "::now()", "async ", ".await",
];

/// Checks all rules.
pub(crate) fn run() -> Result {
    let packages = workspace::packages()?;
    let mut broken: Vec<String> = packages.iter().flat_map(direct).collect();
    for (folder, allowed) in CLOSED {
        for (file, text) in files::rust_texts(&workspace::root()?.join(folder))? {
            let upward = upward(allowed, &text);
            broken.extend(upward.map(|line| format!("{} must not {line}", file.display())));
        }
    }
    for (file, text) in files::rust_texts(&workspace::root()?.join(PURE))? {
        let impure = impure(&text);
        broken.extend(impure.map(|line| format!("{} must not {line}", file.display())));
    }
    for package in &packages {
        broken.extend(import_circles::of(package)?);
    }
    for name in WITHOUT_RUNTIME {
        if packages.iter().any(|package| package.name == *name) {
            broken.extend(transitive(name, &tree(name)?));
        }
    }
    if broken.is_empty() {
        return Ok(());
    }
    Err(broken.join("\n"))
}

/// The imports of a file that are of its crate and not below these paths.
fn upward<'a>(allowed: &[&str], text: &'a str) -> impl Iterator<Item = &'a str> {
    let is_allowed = |line: &str| {
        let path = line.trim_start_matches("use ");
        let rest = |allowed: &&str| path.strip_prefix(*allowed);
        allowed
            .iter()
            .filter_map(rest)
            .any(|rest| rest.starts_with("::"))
    };
    let lines = text.lines().map(str::trim_start);
    let imports = lines.filter(|line| line.starts_with("use crate::"));
    imports
        .filter(|line| !is_allowed(line))
        .collect::<Vec<_>>()
        .into_iter()
}

/// The lines of code, comments and tests aside, that wait, lock or read a clock.
fn impure(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().take_while(|line| *line != "#[cfg(test)]");
    let code = lines
        .map(str::trim_start)
        .filter(|line| !line.starts_with("//"));
    code.filter(|line| IMPURE.iter().any(|impure| line.contains(impure)))
}

/// The rules that the crate's own manifest breaks.
fn direct(package: &Package) -> Vec<String> {
    let name = &package.name;
    if !package.is_library() {
        return Vec::new();
    }
    let Some(allowed) = find(LAYERS, name) else {
        return vec![format!(
            "{name} has no layer: give it one in xtask/src/layers.rs"
        )];
    };
    let ours = package.dependencies.iter().filter(|dependency| {
        find(LAYERS, dependency).is_some() && !allowed.contains(&dependency.as_str())
    });
    let others = package.dependencies.iter().filter(|dependency| {
        find(OWNED, dependency).is_some_and(|owners| !owners.contains(&name.as_str()))
    });
    let broken = ours.chain(others);
    broken
        .map(|dependency| format!("{name} must not depend on {dependency}"))
        .collect()
}

/// The rules that all that the crate brings breaks together.
fn transitive(name: &str, tree: &BTreeSet<String>) -> Vec<String> {
    let crate_of = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
    let brought = tree.iter().map(|line| crate_of(line));
    let runtimes = brought.filter(|brought| RUNTIMES.contains(&brought.as_str()));
    let mut broken: Vec<_> = runtimes
        .map(|runtime| format!("{name} must not bring {runtime}"))
        .collect();
    if name == "webhooks-receiver" && tree.len() > RECEIVER_CRATES {
        let count = tree.len();
        broken.push(format!(
            "{name} brings {count} crates, at most {RECEIVER_CRATES}"
        ));
    }
    broken
}

/// The crate without its features and all that it brings, as `name version`.
fn tree(name: &str) -> Result<BTreeSet<String>> {
    let args = [
        "tree",
        "-p",
        name,
        "--no-default-features",
        "-e",
        "normal,build",
    ];
    let mut command = process::cargo(args);
    command.args(["--prefix", "none", "--format", "{p}"]);
    let lines = process::output(command)?;
    // A crate that was printed before has a mark behind it.
    let crate_and_version = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
    Ok(lines
        .lines()
        .filter(|line| !line.is_empty())
        .map(crate_and_version)
        .collect())
}

fn find<'a>(rules: &[(&str, &'a [&'a str])], name: &str) -> Option<&'a [&'a str]> {
    rules
        .iter()
        .find(|(named, _)| *named == name)
        .map(|(_, names)| *names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, dependencies: &[&str]) -> Package {
        Package {
            name: name.to_owned(),
            dependencies: dependencies.iter().map(|&d| d.to_owned()).collect(),
            ..Package::default()
        }
    }

    #[test]
    fn an_import_from_outside_a_closed_folder_is_named() {
        let text = "use std::fmt;\nuse crate::http::tls::Tls;\nuse crate::https;\n    use crate::lane::Lane;\n";
        let found: Vec<_> = upward(&["crate::http"], text).collect();
        assert_eq!(found, ["use crate::https;", "use crate::lane::Lane;"]);
    }

    #[test]
    fn who_waits_locks_or_reads_a_clock_is_named() {
        let text = "// tokio\nuse std::sync::Mutex;\nlet now = Instant::now();\nlet now = now.at;\n#[cfg(test)]\nInstant::now()";
        let found: Vec<_> = impure(text).collect();
        assert_eq!(
            found,
            ["use std::sync::Mutex;", "let now = Instant::now();"]
        );
    }

    #[test]
    fn what_the_drawing_allows_passes() {
        for (name, dependencies) in LAYERS {
            assert_eq!(direct(&package(name, dependencies)), Vec::<String>::new());
        }
        for (owned, owners) in OWNED {
            for owner in *owners {
                assert_eq!(direct(&package(owner, &[owned])), Vec::<String>::new());
            }
        }
    }

    #[test]
    fn what_the_drawing_forbids_is_named() {
        for (name, forbidden) in [
            ("webhooks-core", "webhooks-delivery"),
            ("webhooks-core", "hyper"),
            ("webhooks-delivery", "webhooks-resilience"),
            ("webhooks-resilience", "webhooks-delivery"),
            ("webhooks-storage-memory", "webhooks-resilience"),
            ("webhooks-storage-redis", "tokio-postgres"),
            ("webhooks-receiver", "webhooks-storage-memory"),
            ("webhooks-delivery", "better-auth-webhooks"),
            ("better-auth-webhooks", "governor"),
        ] {
            let broken = direct(&package(name, &["serde", forbidden]));
            assert_eq!(broken, [format!("{name} must not depend on {forbidden}")]);
        }
    }

    #[test]
    fn a_crate_without_a_layer_is_named() {
        let broken = direct(&package("webhooks-extra", &[]));
        assert!(broken[0].starts_with("webhooks-extra has no layer"));
    }

    #[test]
    fn the_tests_and_this_tool_are_free() {
        let dependencies = ["better-auth-webhooks", "hyper", "fred"];
        assert!(direct(&package("webhooks-tests", &dependencies)).is_empty());
        assert!(direct(&package("xtask", &dependencies)).is_empty());
    }

    #[test]
    fn a_runtime_deep_below_and_a_large_tree_are_named() {
        let mut tree: BTreeSet<_> = (1..45).map(|n| format!("crate-{n} v1.0.0")).collect();
        tree.insert("tokio-util v0.7.0".to_owned());
        assert!(transitive("webhooks-receiver", &tree).is_empty());
        tree.insert("tokio v1.54.0".to_owned());
        assert_eq!(
            transitive("webhooks-receiver", &tree),
            [
                "webhooks-receiver must not bring tokio",
                "webhooks-receiver brings 46 crates, at most 45"
            ]
        );
        assert_eq!(transitive("webhooks-core", &tree).len(), 1);
    }
}
