//! A column of a table, or a field of one thing.

use serde_json::Value;

use super::escape::safe;

/// What is shown of an item, and under which name.
#[derive(Clone, Copy)]
pub(crate) struct Column {
    /// As people read it.
    name: &'static str,
    /// Where it stands in the item, as a JSON pointer.
    pointer: &'static str,
    /// As it is written.
    show: fn(&Value) -> String,
    /// It is a word of which the colour tells whether all is well.
    is_state: bool,
}

impl Column {
    /// What stands there, as it is.
    pub(crate) const fn new(name: &'static str, pointer: &'static str) -> Self {
        Self {
            name,
            pointer,
            show: text,
            is_state: false,
        }
    }

    /// A state, which has a colour.
    pub(crate) const fn state(name: &'static str, pointer: &'static str) -> Self {
        Self {
            is_state: true,
            ..Self::new(name, pointer)
        }
    }

    /// Written so.
    pub(crate) const fn with(self, show: fn(&Value) -> String) -> Self {
        Self { show, ..self }
    }

    /// The name over the column.
    pub(super) const fn name(&self) -> &'static str {
        self.name
    }

    /// The name for programs.
    pub(super) fn key(&self) -> String {
        self.name.to_lowercase().replace(' ', "_")
    }

    /// Whether its colour tells how things are.
    pub(super) const fn is_state(&self) -> bool {
        self.is_state
    }

    /// What is shown of this item; it is safe to show.
    pub(super) fn cell(&self, item: &Value) -> String {
        let value = item.pointer(self.pointer).unwrap_or(&Value::Null);
        safe(&(self.show)(value)).into_owned()
    }
}

/// A value in words: nothing for null, and commas between what is many.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(text).collect();
            items.join(",")
        }
        Value::Object(fields) if fields.is_empty() => String::new(),
        value => value.to_string(),
    }
}
