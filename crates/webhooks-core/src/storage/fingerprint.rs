//! What an idempotency key stands for.

use serde_json::Value;
use sha2::{Digest, Sha256};

/// What an idempotency key stands for: 16 bytes of a SHA-256 over the type of an event, the endpoint it
/// names and its data.
///
/// The same data in another spelling has the same fingerprint: neither spaces nor the order of an
/// object's keys count, which differs from call to call where the data is a hash map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 16]);

impl Fingerprint {
    /// That of an event of this type, for one endpoint if it names one, with this JSON as its data.
    ///
    /// ```
    /// use webhooks_core::storage::spi::Fingerprint;
    ///
    /// let of = |data: &str| Fingerprint::of("user.created", None, data.as_bytes());
    /// assert_eq!(of(r#"{"a":1,"b":[2]}"#), of(r#"{ "b": [2], "a": 1 }"#));
    /// assert_ne!(of(r#"{"a":1}"#), of(r#"{"a":2}"#));
    /// ```
    #[must_use]
    pub fn of(event_type: &str, endpoint_id: Option<&str>, data: &[u8]) -> Self {
        let mut hash = Sha256::new();
        // Neither a type nor an id holds a line break, so that no two texts run into each other.
        for text in [event_type, "\n", endpoint_id.unwrap_or_default(), "\n"] {
            hash.update(text);
        }
        match serde_json::from_slice(data) {
            Ok(data) => add(&mut hash, &data),
            Err(_) => hash.update(data),
        }
        let mut bytes = [0; 16];
        for (byte, hashed) in bytes.iter_mut().zip(hash.finalize()) {
            *byte = hashed;
        }
        Self(bytes)
    }
}

/// Adds a value in its one spelling. It is no deeper than data may be nested.
fn add(hash: &mut Sha256, value: &Value) {
    match value {
        Value::Array(items) => {
            hash.update("[");
            for item in items {
                add(hash, item);
                hash.update(",");
            }
            hash.update("]");
        }
        Value::Object(entries) => {
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            hash.update("{");
            for (key, value) in entries {
                add(hash, &Value::from(key.as_str()));
                add(hash, value);
                hash.update(",");
            }
            hash.update("}");
        }
        plain => hash.update(plain.to_string()),
    }
}
