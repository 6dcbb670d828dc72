//! Tables for terminals.

use comfy_table::presets::NOTHING;
use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table};

use super::Column;

/// States in which something goes wrong.
const BAD: &[&str] = &[
    "dead",
    "disabled",
    "error",
    "failed",
    "failing",
    "unreadable",
];
/// States in which something waits, or has been ended.
const SLOW: &[&str] = &[
    "blocked",
    "cancelled",
    "degraded",
    "held",
    "paused",
    "scheduled",
    "stopped",
    "unverified",
    "warn",
];
/// States in which all is well.
const GOOD: &[&str] = &["delivered", "done", "healthy", "ok", "open"];

/// Rows under the names of their columns.
pub(super) fn rows(columns: &[Column], rows: &[Vec<String>], has_colors: bool) -> String {
    let mut table = empty(has_colors);
    table.set_header(columns.iter().map(|of| heading(of.name())));
    for row in rows {
        let cells = row.iter().zip(columns);
        table.add_row(cells.map(|(text, of)| cell(text, of)));
    }
    trimmed(&table)
}

/// Names, and what belongs to each.
pub(super) fn fields(fields: &[(&Column, String)], has_colors: bool) -> String {
    let mut table = empty(has_colors);
    for (of, text) in fields {
        table.add_row([heading(of.name()), cell(text, of)]);
    }
    trimmed(&table)
}

/// A table without lines, as wide as it must be: who copies an id gets all of it.
fn empty(has_colors: bool) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    match has_colors {
        true => table.enforce_styling(),
        false => table.force_no_tty(),
    };
    table
}

/// The name of a column or a field.
fn heading(name: &str) -> Cell {
    Cell::new(name).add_attribute(Attribute::Bold)
}

/// A cell; what is empty is a dash, and a state has its colour.
fn cell(text: &str, of: &Column) -> Cell {
    let shown = match text {
        "" => Cell::new("-"),
        text => Cell::new(text),
    };
    let among = |words: &[&str]| words.contains(&text);
    match of.is_state() {
        true if among(BAD) => shown.fg(Color::Red),
        true if among(SLOW) => shown.fg(Color::Yellow),
        true if among(GOOD) => shown.fg(Color::Green),
        _ => shown,
    }
}

/// Without spaces at the ends of lines.
fn trimmed(table: &Table) -> String {
    table.trim_fmt()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const COLUMNS: &[Column] = &[
        Column::new("NAME", "/name"),
        Column::state("STATE", "/state"),
    ];

    #[test]
    fn a_name_does_nothing_to_a_terminal() {
        let item = json!({ "name": "a\u{1b}]0;x\u{7}\nb\u{202e}c", "state": "dead\u{9b}m" });
        let cells: Vec<String> = COLUMNS.iter().map(|of| of.cell(&item)).collect();
        let shown: Vec<_> = COLUMNS.iter().zip(cells.clone()).collect();
        for table in [rows(COLUMNS, &[cells], false), fields(&shown, false)] {
            assert!(table.contains("]0;x"), "{table}");
            let is_active = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
            assert!(!table.contains(is_active), "{table:?}");
            assert_eq!(table.lines().count(), 2, "{table}");
        }
    }
}
