use bytes::Bytes;
use fred::types::Value;
use uuid::Uuid;

/// The arguments of a script, in the order in which it takes them.
#[derive(Debug, Default)]
pub(crate) struct Args(Vec<Value>);

impl Args {
    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.0.push(text.into());
        self
    }

    pub(crate) fn bytes(&mut self, bytes: Bytes) -> &mut Self {
        self.0.push(Value::Bytes(bytes));
        self
    }

    /// A number, as the text that the scripts and the keys hold.
    pub(crate) fn number(&mut self, number: impl ToString) -> &mut Self {
        self.0.push(number.to_string().into());
        self
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

    pub(crate) fn append(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub(crate) fn values(&self) -> Vec<Value> {
        // Values share their bytes, so a copy is cheap.
        self.0.clone()
    }
}
