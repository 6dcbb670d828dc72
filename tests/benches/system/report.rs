//! What was found: printed as a table and written as JSON.

use serde_json::{Value, json};

use crate::Result;

/// The rows with a target, and the figures that they come from.
pub(crate) struct Report {
    rows: Vec<Row>,
    figures: Vec<(String, f64, &'static str)>,
}

struct Row {
    number: u32,
    what: String,
    value: f64,
    unit: &'static str,
    target: Target,
}

/// What a figure should reach.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    AtLeast(f64),
    AtMost(f64),
}

impl Report {
    pub(crate) const fn new() -> Self {
        Self {
            rows: Vec::new(),
            figures: Vec::new(),
        }
    }

    /// A figure with its target; the number is that of docs/benchmarks.md.
    pub(crate) fn row(
        &mut self,
        number: u32,
        what: impl Into<String>,
        value: f64,
        unit: &'static str,
        target: Target,
    ) {
        let row = Row {
            number,
            what: what.into(),
            value,
            unit,
            target,
        };
        println!("  {}", row.text());
        self.rows.push(row);
    }

    /// A figure of this machine, without a target.
    pub(crate) fn figure(&mut self, what: impl Into<String>, value: f64, unit: &'static str) {
        let what = what.into();
        println!("  {what}: {} {unit}", short(value));
        self.figures.push((what, value, unit));
    }

    pub(crate) fn print(&self) {
        println!();
        for row in &self.rows {
            println!("{}", row.text());
        }
        let reached = self.rows.iter().filter(|row| row.is_reached()).count();
        println!("{reached} of {} reached", self.rows.len());
    }

    pub(crate) fn write(&self, file: &str) -> Result {
        let figures = self.figures.iter().map(
            |(what, value, unit)| json!({ "what": what, "value": rounded(*value), "unit": unit }),
        );
        let report = json!({
            "machine": machine(),
            "rows": self.rows.iter().map(Row::json).collect::<Vec<_>>(),
            "figures": figures.collect::<Vec<_>>(),
        });
        let text = serde_json::to_string_pretty(&report)?;
        std::fs::write(file, text + "\n")?;
        Ok(())
    }
}

impl Row {
    const fn is_reached(&self) -> bool {
        match self.target {
            Target::AtLeast(bound) => self.value >= bound,
            Target::AtMost(bound) => self.value <= bound,
        }
    }

    fn text(&self) -> String {
        let (word, bound) = match self.target {
            Target::AtLeast(bound) => (">=", bound),
            Target::AtMost(bound) => ("<=", bound),
        };
        format!(
            "{:>2}  {:<66} {:>9} {:<12} {word} {:<7} {}",
            self.number,
            self.what,
            short(self.value),
            self.unit,
            short(bound),
            if self.is_reached() {
                "reached"
            } else {
                "MISSED"
            }
        )
    }

    fn json(&self) -> Value {
        let (at_least, bound) = match self.target {
            Target::AtLeast(bound) => (true, bound),
            Target::AtMost(bound) => (false, bound),
        };
        json!({
            "number": self.number,
            "what": self.what,
            "value": rounded(self.value),
            "unit": self.unit,
            "at_least": at_least,
            "target": bound,
            "reached": self.is_reached(),
        })
    }
}

/// Where the figures are from: they say as much about the machine.
fn machine() -> Value {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let model = model.map(|text| text.trim_start_matches([' ', '\t', ':']));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    json!({ "cpu": model, "cores": cores })
}

/// Four digits are more than two runs agree on.
fn rounded(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

fn short(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 0.1 || v == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}
