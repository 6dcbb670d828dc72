//! What people and programs read: data on standard output, everything else on standard error.
//!
//! All that comes from a server, and from whoever has written what it keeps, is made [`safe`] before it is
//! written, or is JSON that was made so by [`json_safe`].

mod column;
mod escape;
mod table;

use std::io::{ErrorKind, IsTerminal, Write, stderr, stdin, stdout};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

pub(crate) use self::column::Column;
pub(crate) use self::escape::{json_safe, safe};
use crate::failure::Failure;
use crate::settings::{ColorChoice, GlobalArgs};

/// How a command says what it has to say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    /// JSON is wanted.
    is_json: bool,
    /// A person reads standard output.
    is_terminal: bool,
    /// States have colours.
    has_colors: bool,
    /// Nothing but data and errors is wanted.
    is_quiet: bool,
}

impl Output {
    /// As the flags want it, and as what reads it can.
    pub(crate) fn new(global: &GlobalArgs) -> Self {
        let is_terminal = stdout().is_terminal();
        let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            is_json: global.json,
            is_terminal,
            has_colors: match global.color {
                ColorChoice::Auto => is_terminal && !is_plain,
                ColorChoice::Always => true,
                ColorChoice::Never => false,
            },
            is_quiet: global.quiet,
        }
    }

    /// Whether JSON is wanted.
    pub(crate) const fn is_json(&self) -> bool {
        self.is_json
    }

    /// Whether a person reads the data on a terminal.
    pub(crate) const fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Writes a line of data, which must be safe to show.
    pub(crate) fn line(&self, text: &str) -> Result<(), Failure> {
        self.bytes(format!("{text}\n").as_bytes())
    }

    /// Writes data byte by byte as it is.
    ///
    /// # Errors
    ///
    /// [`Failure::closed`] once nobody reads any more, which ends a command quietly.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut out = stdout().lock();
        let written = out.write_all(bytes).and_then(|()| out.flush());
        written.map_err(|error| match error.kind() {
            ErrorKind::BrokenPipe => Failure::closed(),
            _ => Failure::failed(format!("the output cannot be written: {error}")),
        })
    }

    /// Writes one JSON document on one line.
    pub(crate) fn json(&self, text: &str) -> Result<(), Failure> {
        self.line(&json_safe(text.trim()))
    }

    /// Writes rows: a table on a terminal, and columns between tabs elsewhere.
    pub(crate) fn rows(&self, columns: &[Column], items: &[Value]) -> Result<(), Failure> {
        let rows = items
            .iter()
            .map(|item| columns.iter().map(|of| of.cell(item)).collect());
        let rows: Vec<Vec<String>> = rows.collect();
        if self.is_terminal {
            if rows.is_empty() {
                return Ok(());
            }
            return self.line(&table::rows(columns, &rows, self.has_colors));
        }
        rows.iter().try_for_each(|row| self.line(&row.join("\t")))
    }

    /// Writes one thing, field by field.
    pub(crate) fn fields(&self, fields: &[Column], item: &Value) -> Result<(), Failure> {
        let cells = fields.iter().map(|of| (of, of.cell(item)));
        let shown: Vec<_> = cells.filter(|(_, cell)| !cell.is_empty()).collect();
        if self.is_terminal {
            return self.line(&table::fields(&shown, self.has_colors));
        }
        let mut lines = shown.iter();
        lines.try_for_each(|(of, cell)| self.line(&format!("{}\t{cell}", of.key())))
    }

    /// Tells the person who waits; not a program, and not with `--quiet`.
    pub(crate) fn say(&self, text: &str) {
        if !self.is_quiet {
            self.warn(text);
        }
    }

    /// Tells the person who waits, in any case.
    #[expect(clippy::unused_self, reason = "whoever speaks has an output")]
    pub(crate) fn warn(&self, text: &str) {
        // Nobody listens any more: then there is nobody to be told.
        let _told = writeln!(stderr(), "{text}");
    }

    /// Asks whether to go on. Where nobody can be asked, `--yes` must have said so.
    pub(crate) fn confirm(&self, question: &str, is_sure: bool) -> Result<(), Failure> {
        if is_sure {
            return Ok(());
        }
        if !(stdin().is_terminal() && stderr().is_terminal()) {
            return Err(Failure::usage(format!("{question} Say so with --yes")));
        }
        let _asked = write!(stderr(), "{question} [y/N] ");
        let mut answer = String::new();
        let _read = stdin().read_line(&mut answer);
        match answer.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(Failure::failed("nothing was done")),
        }
    }

    /// A number that grows, for work of which nobody knows the end, on a terminal alone.
    pub(crate) fn counter(&self) -> ProgressBar {
        let bar = self.progress(0);
        bar.unset_length();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {pos} {per_sec}") {
            bar.set_style(style);
        }
        bar
    }

    /// A bar for so much work, on a terminal alone.
    pub(crate) fn progress(&self, length: u64) -> ProgressBar {
        if self.is_quiet || !stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
        let style = "{bar:40} {pos}/{len} {per_sec} {eta}";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        bar
    }
}
