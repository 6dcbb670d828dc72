//! The pages of the last benchmark in `docs/`: a table and two charts, from its JSON.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::bench_charts::{Bar, chart};
use crate::workspace::{array, text};
use crate::{Result, files};

/// The last run of all parts.
pub(crate) const RESULT: &str = "docs/benchmarks.json";
const PAGE: &str = "docs/benchmarks.md";
const BEGIN: &str = "<!-- the last run -->\n";
const END: &str = "<!-- end of the last run -->\n";

/// Puts the table into the page, and draws the charts beside it.
pub(crate) fn write() -> Result {
    let json = fs::read_to_string(RESULT).map_err(|e| format!("{RESULT}: {e}"))?;
    let result: Value = serde_json::from_str(&json).map_err(|e| format!("{RESULT}: {e}"))?;
    let page = fs::read_to_string(PAGE).map_err(|e| format!("{PAGE}: {e}"))?;
    let parts = page
        .split_once(BEGIN)
        .and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) = parts.ok_or_else(|| format!("{PAGE} has no place for the table"))?;
    let page = format!("{before}{BEGIN}\n{}\n{END}{after}", table(&result));
    files::write(Path::new(PAGE), &page)?;
    let storages = chart(
        "Deliveries a second, from send_webhook to settled, on two cores",
        &storages(&result),
    );
    files::write(Path::new("docs/benchmarks-storages.svg"), &storages)?;
    let targets = chart(
        "Reached, in parts of the target (1 or more is reached)",
        &targets(&result),
    );
    files::write(Path::new("docs/benchmarks-targets.svg"), &targets)
}

fn table(result: &Value) -> String {
    let machine = result.get("machine").cloned().unwrap_or_default();
    let cores = number(&machine, "cores");
    let mut lines = vec![
        format!("{}, {cores} cores.\n", text(&machine, "cpu")),
        "| | what | figure | target | |".to_owned(),
        "|---|---|---|---|---|".to_owned(),
    ];
    for row in array(result, "rows") {
        let word = if is(row, "at_least") {
            "at least"
        } else {
            "at most"
        };
        lines.push(format!(
            "| {} | {} | {} {} | {word} {} | {} |",
            number(row, "number"),
            text(row, "what"),
            number(row, "value"),
            text(row, "unit"),
            number(row, "target"),
            if is(row, "reached") {
                "reached"
            } else {
                "**missed**"
            },
        ));
    }
    lines.push("\n| figure of this machine | |\n|---|---|".to_owned());
    for figure in array(result, "figures") {
        let value = number(figure, "value");
        lines.push(format!(
            "| {} | {value} {} |",
            text(figure, "what"),
            text(figure, "unit")
        ));
    }
    lines.join("\n") + "\n"
}

/// What each storage makes from the call to the settlement, the fastest first.
fn storages(result: &Value) -> Vec<Bar> {
    let mut bars: Vec<_> = array(result, "figures")
        .filter_map(|figure| {
            let storage = text(figure, "what").strip_suffix(", send to settled")?;
            Some(Bar {
                what: storage.to_owned(),
                value: number(figure, "value"),
                is_good: true,
                mark: None,
            })
        })
        .collect();
    bars.sort_by(|a, b| b.value.total_cmp(&a.value));
    bars
}

/// How near each row comes to its target; those that are reached with ease are cut at 2.
fn targets(result: &Value) -> Vec<Bar> {
    array(result, "rows")
        .map(|row| {
            let (value, target) = (number(row, "value"), number(row, "target"));
            let part = if is(row, "at_least") {
                value / target
            } else {
                target / value
            };
            Bar {
                what: format!("{}  {}", number(row, "number"), text(row, "what")),
                // What costs nothing at all, or less than the limit, is beyond any target.
                value: if part.is_finite() && part >= 0.0 {
                    part.min(2.0)
                } else {
                    2.0
                },
                is_good: is(row, "reached"),
                mark: Some(1.0),
            }
        })
        .collect()
}

fn number(of: &Value, key: &str) -> f64 {
    of.get(key).and_then(Value::as_f64).unwrap_or_default()
}

fn is(of: &Value, key: &str) -> bool {
    of.get(key).and_then(Value::as_bool).unwrap_or_default()
}
