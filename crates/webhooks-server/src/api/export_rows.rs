//! Rows of an export, as text.

use better_auth_webhooks::storage::DeliveryRecord;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::shapes::DeliveryView;
use crate::access::Caller;
use crate::problem::Problem;
use webhooks_core::WebhookError;

/// What a row is written as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Format {
    /// One JSON document a line.
    #[default]
    Ndjson,
    /// As RFC 4180 has it, with names in the first line.
    Csv,
}

/// Columns of CSV: fields of a delivery, those of `last` behind a `last_`.
const COLUMNS: [&str; 19] = [
    "id",
    "event_id",
    "event_type",
    "endpoint_id",
    "tenant",
    "priority",
    "state",
    "dead_reason",
    "cancel_reason",
    "attempt_count",
    "max_retries",
    "crashes",
    "due_at",
    "created_at",
    "updated_at",
    "last_status",
    "last_failure",
    "payload_erased",
    "worker",
];

/// A delivery in an export.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ExportedDelivery)]
pub(super) struct ExportRow<'a> {
    #[serde(flatten)]
    delivery: DeliveryView,
    /// The envelope of the event, if payloads were asked for; null once it was erased.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    payload: Option<Option<&'a RawValue>>,
}

/// What is written, and for whom.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rows {
    pub(super) format: Format,
    pub(super) attempts: bool,
    pub(super) payloads: bool,
}

impl Rows {
    /// What comes before the first row.
    pub(super) fn head(self) -> Result<Vec<u8>, Problem> {
        let mut head = Vec::new();
        if self.format == Format::Csv {
            let more = [(self.attempts, "attempts"), (self.payloads, "payload")];
            let more = more.iter().filter(|(is_there, _)| *is_there);
            let columns = COLUMNS.iter().copied().chain(more.map(|(_, name)| *name));
            write_csv(columns, &mut head)?;
        }
        Ok(head)
    }

    /// Appends a row.
    pub(super) fn write(
        self,
        caller: &Caller,
        record: &DeliveryRecord,
        to: &mut Vec<u8>,
    ) -> Result<(), Problem> {
        let envelope = envelope(record);
        let row = ExportRow {
            delivery: DeliveryView::new(caller, record, self.attempts),
            payload: self.payloads.then_some(envelope),
        };
        match self.format {
            Format::Ndjson => {
                serde_json::to_writer(&mut *to, &row).map_err(WebhookError::from)?;
                to.push(b'\n');
                Ok(())
            }
            Format::Csv => self.write_cells(&row, to),
        }
    }

    fn write_cells(self, row: &ExportRow<'_>, to: &mut Vec<u8>) -> Result<(), Problem> {
        let delivery = serde_json::to_value(&row.delivery).map_err(WebhookError::from)?;
        let field = |name: &str| match name.strip_prefix("last_") {
            Some(name) => delivery.get("last").and_then(|last| last.get(name)),
            None => delivery.get(name),
        };
        let mut cells: Vec<String> = COLUMNS.iter().map(|name| text(field(name))).collect();
        if self.attempts {
            cells.push(text(field("attempts")));
        }
        if self.payloads {
            let payload = row.payload.flatten();
            cells.push(payload.map_or_else(String::new, |payload| payload.get().to_owned()));
        }
        write_csv(cells.iter().map(|cell| harmless(cell)), to)
    }

    /// What comes after the last row: whether that was all. CSV has no place for it.
    pub(super) fn trailer(self, complete: bool) -> Option<String> {
        match self.format {
            Format::Ndjson => Some(format!("{{\"complete\":{complete}}}\n")),
            Format::Csv => None,
        }
    }
}

/// The envelope of a delivery's event, if it was not erased.
fn envelope(record: &DeliveryRecord) -> Option<&RawValue> {
    let payload = &record.delivery.event.payload;
    // An envelope is JSON, which the storage keeps as it was made.
    serde_json::from_slice(payload).ok()
}

/// A field as the text of a cell.
fn text(field: Option<&Value>) -> String {
    match field {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// A cell that no spreadsheet takes for a formula.
fn harmless(cell: &str) -> std::borrow::Cow<'_, str> {
    match cell.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        true => format!("'{cell}").into(),
        false => cell.into(),
    }
}

/// Appends a line of cells, quoted where they must be.
fn write_csv<T: AsRef<str>>(
    cells: impl Iterator<Item = T>,
    to: &mut Vec<u8>,
) -> Result<(), Problem> {
    let mut writer = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(&mut *to);
    for cell in cells {
        let written = writer.write_field(cell.as_ref());
        written.map_err(|error| cannot_write(&error.to_string()))?;
    }
    let written = writer.write_record(None::<&[u8]>);
    written.map_err(|error| cannot_write(&error.to_string()))?;
    let flushed = writer.flush();
    flushed.map_err(|error| cannot_write(&error.to_string()))
}

fn cannot_write(error: &str) -> Problem {
    WebhookError::SerializationError(error.to_owned().into()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_no_formula_and_stays_one_cell() {
        let mut line = Vec::new();
        let cells = [
            "=1+1",
            "+1",
            "-1",
            "@a",
            "\tx",
            "\rx",
            "a=1",
            "a\"b,c\nd",
            "",
        ];
        write_csv(cells.iter().map(|cell| harmless(cell)), &mut line).unwrap();
        let line = String::from_utf8(line).unwrap();
        let expected = "'=1+1,'+1,'-1,'@a,'\tx,\"'\rx\",a=1,\"a\"\"b,c\nd\",\r\n";
        assert_eq!(line, expected);
    }
}
