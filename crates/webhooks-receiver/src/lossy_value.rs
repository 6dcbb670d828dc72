//! Reading a text of JSON as a [`Value`], whatever numbers it holds.

use serde_json::value::RawValue;
use serde_json::{Map, Number, Value};
use webhooks_core::{Detail, Result, WebhookError};

/// The most arrays and objects that are nested, so that neither reading nor dropping them uses up
/// the stack. The data of a batch of the deepest events has 103.
const MAX_DEPTH: usize = 128;

/// What the text says. A number that is no `i64` or `u64` is the nearest `f64` there is, so that one
/// beyond all of them is the largest; of keys that stand twice the last one counts.
pub(crate) fn read(json: &RawValue) -> Result<Value> {
    let mut reader = Reader { rest: json.get() };
    reader.value(0)
}

/// Reads a text whose form was checked before: a [`RawValue`] holds nothing but JSON.
struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Result<Value> {
        // Checked before each step down: the text is a stranger's until its events are handled.
        if depth == MAX_DEPTH && matches!(self.peek(), Some(b'[' | b'{')) {
            let text = format!("the data is nested more than {MAX_DEPTH} deep");
            return Err(WebhookError::SerializationError(text.into()));
        }
        Ok(match self.peek() {
            Some(b'{') => Value::Object(self.object(depth)?),
            Some(b'[') => Value::Array(self.array(depth)?),
            Some(b'"') => Value::String(self.string()?),
            _ => match self.take(|byte| b",]} \t\r\n".contains(&byte)) {
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                "null" => Value::Null,
                number => number_of(number).ok_or_else(malformed)?,
            },
        })
    }

    fn object(&mut self, depth: usize) -> Result<Map<String, Value>> {
        let mut fields = Map::new();
        self.skip(1);
        while self.peek() != Some(b'}') {
            let key = self.string()?;
            if self.peek() != Some(b':') {
                return Err(malformed());
            }
            self.skip(1);
            fields.insert(key, self.value(depth + 1)?);
            self.separator(b'}')?;
        }
        self.skip(1);
        Ok(fields)
    }

    fn array(&mut self, depth: usize) -> Result<Vec<Value>> {
        let mut items = Vec::new();
        self.skip(1);
        while self.peek() != Some(b']') {
            items.push(self.value(depth + 1)?);
            self.separator(b']')?;
        }
        self.skip(1);
        Ok(items)
    }

    /// Passes a comma, if the end is not next.
    fn separator(&mut self, end: u8) -> Result<()> {
        match self.peek() {
            Some(b',') => self.skip(1),
            Some(byte) if byte == end => {}
            _ => return Err(malformed()),
        }
        Ok(())
    }

    fn string(&mut self) -> Result<String> {
        let bytes = self.rest.as_bytes();
        let mut end = 1;
        let mut is_plain = true;
        loop {
            match bytes.get(end) {
                Some(b'"') => break,
                Some(b'\\') => {
                    is_plain = false;
                    // The escaped byte too, which may be a quote.
                    end += 2;
                }
                Some(_) => end += 1,
                None => return Err(malformed()),
            }
        }
        let (text, rest) = self.rest.split_at_checked(end + 1).ok_or_else(malformed)?;
        self.rest = rest;
        if is_plain {
            return Ok(text.get(1..end).unwrap_or_default().to_owned());
        }
        Ok(serde_json::from_str(text)?)
    }

    /// The next byte that is no space.
    fn peek(&mut self) -> Option<u8> {
        self.rest = self.rest.trim_ascii_start();
        self.rest.bytes().next()
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    fn take(&mut self, is_end: impl Fn(u8) -> bool) -> &'a str {
        let end = self.rest.bytes().position(is_end);
        let (taken, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        taken
    }
}

fn number_of(text: &str) -> Option<Value> {
    // As serde_json, which keeps the sign of a zero.
    if text != "-0" {
        if let Ok(number) = text.parse::<u64>() {
            return Some(number.into());
        }
        if let Ok(number) = text.parse::<i64>() {
            return Some(number.into());
        }
    }
    let number: f64 = text.parse().ok()?;
    // An infinity is no JSON number, and one number that is too large must not cost the whole
    // event.
    Number::from_f64(number.clamp(f64::MIN, f64::MAX)).map(Value::Number)
}

fn malformed() -> WebhookError {
    WebhookError::SerializationError(Detail::from("the data is malformed"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn value(json: &str) -> Value {
        read(serde_json::from_str(json).unwrap()).unwrap()
    }

    #[test]
    fn reads_what_serde_json_reads() {
        for json in [
            "null",
            " [ ] ",
            "{ }",
            "[1 , -2,3.5,1e2 , true,false,null,-0,0,18446744073709551615,-9223372036854775808]",
            r#"{"a" : {"b":[{"c":"d\"\\é\u00e9\ud83d\ude00\u0000"}, [ ]]} , "\n":"" }"#,
            r#""\\""#,
            r#"{"a":1,"a":2}"#,
        ] {
            assert_eq!(value(json), serde_json::from_str::<Value>(json).unwrap());
        }
    }

    #[test]
    fn numbers_beyond_a_float_are_the_nearest_one() {
        assert_eq!(value("1e400"), json!(f64::MAX));
        assert_eq!(value("[-1e400]"), json!([f64::MIN]));
        assert_eq!(value(&format!("{}", f64::MAX)), json!(f64::MAX));
        assert_eq!(
            value("12345678901234567890123"),
            json!(12345678901234567890123_f64)
        );
        assert_eq!(
            value("0.1234567890123456789"),
            json!(0.123_456_789_012_345_68_f64)
        );
        assert_eq!(value("1e-400"), json!(0.0));
    }

    #[test]
    fn the_stack_is_bounded() {
        let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let read_nested = |depth| read(serde_json::from_str(&nested(depth)).unwrap());
        assert!(read_nested(MAX_DEPTH).is_ok());
        for depth in [MAX_DEPTH + 1, 100_000] {
            let error = read_nested(depth).unwrap_err().to_string();
            assert!(error.contains("more than 128 deep"), "{error}");
        }
        let halves = serde_json::from_str(r#"{"\ud800":1}"#).unwrap();
        assert!(read(halves).is_err());
    }
}
