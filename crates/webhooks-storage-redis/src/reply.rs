use std::str::FromStr;

use bytes::Bytes;
use fred::types::Value;
use uuid::Uuid;
use webhooks_core::{Result, Timestamp, WebhookError};

/// What a script answered, read from its start.
#[derive(Debug)]
pub(crate) struct Reply(std::vec::IntoIter<Value>);

impl Reply {
    pub(crate) fn new(value: Value) -> Result<Self> {
        match value {
            Value::Array(values) => Ok(Self(values.into_iter())),
            _ => Err(malformed("is no list")),
        }
    }

    pub(crate) fn list(&mut self) -> Result<Self> {
        Self::new(self.value()?)
    }

    pub(crate) fn bytes(&mut self) -> Result<Bytes> {
        let value = self.value()?;
        value
            .into_bytes()
            .ok_or_else(|| malformed("holds no text where one belongs"))
    }

    pub(crate) fn text(&mut self) -> Result<String> {
        String::from_utf8(self.bytes()?.into()).map_err(|_| malformed("holds a broken text"))
    }

    pub(crate) fn number<N: FromStr>(&mut self) -> Result<N> {
        let value = self.value()?;
        let text = value.as_str().unwrap_or_default();
        text.parse()
            .map_err(|_| malformed("holds no number where one belongs"))
    }

    pub(crate) fn flag(&mut self) -> Result<bool> {
        Ok(self.number::<u8>()? != 0)
    }

    pub(crate) fn uuid(&mut self) -> Result<Uuid> {
        let value = self.value()?;
        let text = value.as_str().unwrap_or_default();
        Uuid::try_parse(&text).map_err(|_| malformed("holds no id where one belongs"))
    }

    pub(crate) fn timestamp(&mut self) -> Result<Timestamp> {
        self.number().map(Timestamp::from_millis)
    }

    /// A number, or nothing where the text is empty.
    pub(crate) fn optional<N: FromStr>(&mut self) -> Result<Option<N>> {
        let value = self.value()?;
        let text = value.as_str().unwrap_or_default();
        if text.is_empty() {
            return Ok(None);
        }
        let number = text.parse();
        number
            .map(Some)
            .map_err(|_| malformed("holds no number where one belongs"))
    }

    /// A score of a sorted set, which is a floating-point number, as a time; later by less than a
    /// millisecond at most. Nothing where the text is empty.
    pub(crate) fn score(&mut self) -> Result<Option<Timestamp>> {
        let score: Option<f64> = self.optional()?;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the cast saturates, as timestamps do"
        )]
        let time = score.map(|millis| Timestamp::from_millis(millis as i64));
        Ok(time)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.0.len() == 0
    }

    fn value(&mut self) -> Result<Value> {
        self.0.next().ok_or_else(|| malformed("is too short"))
    }
}

/// The value with this name.
pub(crate) fn named<T: FromStr<Err = WebhookError>>(name: &str) -> Result<T> {
    name.parse().map_err(|error: WebhookError| {
        WebhookError::permanent_storage("cannot read what Redis keeps", error)
    })
}

/// The ids in a text, with spaces between them.
pub(crate) fn ids(text: &str) -> Result<Vec<Uuid>> {
    let ids = text.split(' ').filter(|id| !id.is_empty());
    ids.map(|id| Uuid::try_parse(id).map_err(|_| malformed("holds a broken list of ids")))
        .collect()
}

pub(crate) fn malformed(how: &'static str) -> WebhookError {
    WebhookError::permanent_storage("cannot read what Redis keeps", format!("the answer {how}"))
}

/// A number in a text of ours.
pub(crate) fn number<N: FromStr>(text: &str) -> Result<N> {
    text.parse().map_err(|_| broken())
}

pub(crate) fn broken() -> WebhookError {
    malformed("holds a broken delivery or event")
}
