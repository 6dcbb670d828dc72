//! `cargo xtask deploy`: the alerts and the dashboard of `deploy/`, against what a scrape has.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::{Result, install, process};

const ALERTS: &str = "deploy/prometheus/alerts.yaml";
const ALERTS_TEST: &str = "deploy/prometheus/alerts_test.yaml";
const DASHBOARD: &str = "deploy/grafana/webhooks.json";
/// What all of our metrics begin with.
const PREFIX: &str = "webhooks_";

/// Checks the rules, and that every metric that they and the dashboard name is one of a scrape, and
/// every one of a scrape is on the dashboard.
pub(crate) fn run() -> Result {
    promtool(&["check", "rules", ALERTS])?;
    promtool(&["test", "rules", ALERTS_TEST])?;
    let scraped = scraped()?;
    let dashboard = read(DASHBOARD)?;
    let json = serde_json::from_str(&dashboard).map_err(|e| format!("{DASHBOARD}: {e}"))?;
    let mut queries = String::new();
    collect_queries(&json, &mut queries);
    let shown = metrics_in(&queries);
    let alerted = metrics_in(&read(ALERTS)?);
    let mut wrong = Vec::new();
    for (file, named) in [(DASHBOARD, &shown), (ALERTS, &alerted)] {
        let unknown = named.iter().filter(|name| !is_of(&scraped, name));
        wrong.extend(unknown.map(|name| format!("{file} names {name}, which no scrape has")));
    }
    let is_shown = |family: &&String| shown.iter().any(|name| belongs_to(name, family));
    let hidden = scraped.iter().filter(|family| !is_shown(family));
    wrong.extend(hidden.map(|family| format!("{DASHBOARD} does not show {family}")));
    if wrong.is_empty() {
        return Ok(());
    }
    Err(wrong.join("\n"))
}

fn promtool(args: &[&str]) -> Result {
    let program = install::find("promtool", &[]);
    let program = match program {
        Some(program) => program,
        None => {
            install::apt("promtool", "prometheus")?;
            install::find("promtool", &[])
                .ok_or("promtool was not found, though it was installed")?
        }
    };
    let mut command = Command::new(program);
    command.args(args);
    process::run(command)
}

/// The names of the metrics that a scrape has, without what their kind adds.
fn scraped() -> Result<BTreeSet<String>> {
    let example = ["run", "--quiet", "-p", "webhooks-telemetry"];
    let mut command = process::cargo(example);
    command.args(["--example", "scrape"]);
    let text = process::output(command)?;
    let declared = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    Ok(declared
        .filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect())
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(Path::new(path)).map_err(|e| format!("{path}: {e}"))
}

/// All texts of a dashboard that may name metrics: its queries and those of its variables.
fn collect_queries(of: &Value, to: &mut String) {
    match of {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field {
                    Value::String(text) if name == "expr" || name == "query" => {
                        to.push_str(text);
                        to.push('\n');
                    }
                    field => collect_queries(field, to),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect_queries(item, to)),
        _ => {}
    }
}

/// All words of a text that are names of our metrics, comments aside.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let code = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = code.flat_map(|line| line.split(move |c| !is_word(c)));
    let ours = words.filter(|word| word.starts_with(PREFIX));
    ours.map(str::to_owned).collect()
}

fn is_of(scraped: &BTreeSet<String>, name: &str) -> bool {
    scraped.iter().any(|family| belongs_to(name, family))
}

/// Whether a series of this name is of the metric.
fn belongs_to(name: &str, family: &str) -> bool {
    let suffixes = ["", "_total", "_bucket", "_sum", "_count", "_info"];
    let rest = name.strip_prefix(family);
    rest.is_some_and(|rest| suffixes.contains(&rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_found_in_queries_and_not_in_comments() {
        let json = serde_json::json!({
            "title": "webhooks_title",
            "panels": [{ "targets": [{ "expr": "rate(webhooks_a_total{b=\"c\"}[5m])" }] }],
        });
        let mut queries = "# webhooks_comment\n".to_owned();
        collect_queries(&json, &mut queries);
        let found: Vec<_> = metrics_in(&queries).into_iter().collect();
        assert_eq!(found, ["webhooks_a_total"]);
    }

    #[test]
    fn a_series_belongs_to_the_metric_that_it_is_of() {
        assert!(belongs_to("webhooks_a_bucket", "webhooks_a"));
        assert!(belongs_to("webhooks_a", "webhooks_a"));
        assert!(!belongs_to("webhooks_a_b", "webhooks_a"));
        assert!(!belongs_to("webhooks", "webhooks_a"));
    }
}
