use std::fmt::{Display, Write};
use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};
use fred::types::Value;
use uuid::Uuid;
use webhooks_core::storage::Expected;

/// The arguments of a script, in the order in which it takes them.
#[derive(Debug, Default)]
pub(crate) struct Args {
    /// What is short, one after the other: to allocate each would cost more than to write it.
    text: BytesMut,
    args: Vec<Arg>,
}

#[derive(Debug)]
enum Arg {
    Text(Range<usize>),
    Bytes(Bytes),
}

impl Args {
    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.written(|to| to.put_slice(text.as_bytes()))
    }

    /// What is long and there already; it is not copied.
    pub(crate) fn bytes(&mut self, bytes: Bytes) -> &mut Self {
        self.args.push(Arg::Bytes(bytes));
        self
    }

    /// A number, as the text that the scripts and the keys hold.
    pub(crate) fn number(&mut self, number: impl Display) -> &mut Self {
        self.written(|to| {
            let _never_fails = write!(to, "{number}");
        })
    }

    pub(crate) fn flag(&mut self, flag: bool) -> &mut Self {
        self.text(if flag { "1" } else { "0" })
    }

    pub(crate) fn uuid(&mut self, id: Uuid) -> &mut Self {
        let mut buffer = Uuid::encode_buffer();
        let text = id.as_hyphenated().encode_lower(&mut buffer);
        self.text(text)
    }

    /// A flag that says whether there is a value, and then the value.
    pub(crate) fn option(&mut self, value: Option<&str>) -> &mut Self {
        self.flag(value.is_some());
        if let Some(text) = value {
            self.text(text);
        }
        self
    }

    /// A flag that says whether there is a list, and then how many texts it has, and these.
    pub(crate) fn list(&mut self, list: Option<&[impl AsRef<str>]>) -> &mut Self {
        self.flag(list.is_some());
        if let Some(texts) = list {
            self.number(texts.len());
            for text in texts {
                self.text(text.as_ref());
            }
        }
        self
    }

    /// What is written by this.
    pub(crate) fn written(&mut self, write: impl FnOnce(&mut BytesMut)) -> &mut Self {
        let start = self.text.len();
        write(&mut self.text);
        self.args.push(Arg::Text(start..self.text.len()));
        self
    }

    pub(crate) fn append(&mut self, other: Self) {
        let start = self.text.len();
        self.text.unsplit(other.text);
        self.args
            .extend(other.args.into_iter().map(|arg| match arg {
                Arg::Text(range) => Arg::Text(start + range.start..start + range.end),
                bytes @ Arg::Bytes(_) => bytes,
            }));
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = Value> {
        let text = Bytes::copy_from_slice(&self.text);
        self.args.iter().map(move |arg| {
            Value::Bytes(match arg {
                Arg::Text(range) => text.slice(range.clone()),
                Arg::Bytes(bytes) => bytes.clone(),
            })
        })
    }
}

/// What must be stored for a change to be made, as the scripts take it.
pub(crate) fn expected_text(expected: Expected) -> String {
    match expected {
        Expected::Any => "any".into(),
        Expected::Absent => "absent".into(),
        Expected::Revision(revision) => revision.to_string(),
    }
}
