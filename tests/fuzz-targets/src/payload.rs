//! Bodies that were signed.

use std::collections::BTreeSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use webhooks_core::{EventType, MAX_DATA_DEPTH, Timestamp, WebhookEvent};
use webhooks_receiver::{IncomingWebhook, WebhookReceiver};

/// The bytes are a body, and then the data of an event that is sent. A parsed webhook is what the
/// JSON says, and what is sent is parsed.
pub fn payload(data: &[u8]) {
    let receiver = WebhookReceiver::new("secret");
    let json = serde_json::from_slice::<Value>(data);
    match receiver.parse_webhook(data) {
        Ok(webhook) => {
            assert!(std::str::from_utf8(data).is_ok(), "it is no text");
            // Fields that are not known may hold what cannot be represented.
            if let Ok(json) = json {
                parsed(&receiver, &webhook, &json);
            }
        }
        Err(_) => {
            let refused = json.ok().is_none_or(|json| !is_event(data, &json));
            assert!(refused, "a well-formed envelope was refused");
        }
    }
    if let Ok(data) = serde_json::from_slice::<Value>(data) {
        let event_type = EventType::new("user.created").unwrap();
        let now = Timestamp::from_secs(1_750_000_000);
        let Ok(event) = WebhookEvent::new(event_type, None, &data, 1 << 20, now) else {
            assert!(depth(&data) > MAX_DATA_DEPTH, "good data was refused");
            return;
        };
        // What may be sent is never refused.
        let webhook = receiver.parse_webhook(&event.payload).unwrap();
        assert_eq!(webhook.id, event.id.to_string());
        let sent = serde_json::to_string(&data).unwrap();
        assert_eq!(receiver.parse_raw(&event.payload).unwrap().data.get(), sent);
        assert!(has_fraction(&data) || webhook.data == data);
    }
}

fn depth(json: &Value) -> usize {
    match json {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn parsed(receiver: &WebhookReceiver, webhook: &IncomingWebhook, json: &Value) {
    is_what_json_says(webhook, json);
    let events: Vec<_> = webhook.events().collect();
    assert_eq!(events, webhook.clone().into_events().collect::<Vec<_>>());
    if webhook.event == "webhook.batch" {
        let inner = json["data"]["events"].as_array().unwrap();
        assert_eq!(events.len(), inner.len());
        for (event, json) in events.iter().zip(inner) {
            is_what_json_says(event, json);
            assert_ne!(event.event, "webhook.batch");
        }
    } else {
        assert_eq!(events, std::slice::from_ref(webhook));
    }
    let written = serde_json::to_vec(webhook).unwrap();
    let again = receiver.parse_webhook(&written).unwrap();
    assert!(has_fraction(&webhook.data) || again == *webhook);
}

fn is_what_json_says(webhook: &IncomingWebhook, json: &Value) {
    assert!(json.is_object(), "an envelope is an object");
    assert_eq!(Some(&*webhook.id), json["id"].as_str());
    assert_eq!(Some(&*webhook.event), json["event"].as_str());
    assert_eq!(Some(&*webhook.timestamp), json["timestamp"].as_str());
    assert_eq!(Some(&*webhook.version), json["version"].as_str());
    // The receiver rounds to the nearest, the parser beside it to within a bit.
    assert!(has_fraction(&webhook.data) || Some(&webhook.data) == json.get("data"));
    assert!((1..=256).contains(&webhook.id.len()));
}

/// Whether a number in it may change its last bit when it is written and read.
fn has_fraction(json: &Value) -> bool {
    match json {
        Value::Number(number) => number.is_f64(),
        Value::Array(items) => items.iter().any(has_fraction),
        Value::Object(fields) => fields.values().any(has_fraction),
        _ => false,
    }
}

/// Whether it is the envelope of one event, with no key of it twice.
fn is_event(text: &[u8], json: &Value) -> bool {
    let is_text = |key: &str| json[key].is_string();
    ["id", "event", "timestamp", "version"]
        .into_iter()
        .all(is_text)
        && json.get("data").is_some()
        && json["id"]
            .as_str()
            .is_some_and(|id| (1..=256).contains(&id.len()))
        && json["event"] != "webhook.batch"
        && serde_json::from_slice::<Keys>(text).is_ok_and(|keys| keys.0)
}

/// Whether the keys of an object are all different.
struct Keys(bool);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(KeysVisitor)
    }
}

struct KeysVisitor;

impl<'de> Visitor<'de> for KeysVisitor {
    type Value = Keys;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
        let mut seen = BTreeSet::new();
        let mut different = true;
        while let Some((key, IgnoredAny)) = map.next_entry::<String, _>()? {
            different &= seen.insert(key);
        }
        Ok(Keys(different))
    }
}
