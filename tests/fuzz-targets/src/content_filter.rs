//! Filters on the content of events.

use std::cmp::Ordering;

use serde_json::Value;
use serde_json::value::RawValue;
use webhooks_core::{ContentFilter, EventContent, EventType, Timestamp, WebhookEvent};

/// The bytes are a filter and the data of an event, one on each line. A filter that is accepted says
/// what a plain walk over the two says; it is the same after it was written and read, and its
/// opposite says the opposite.
pub fn content_filter(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (filter, data) = text
        .split_once('\n')
        .unwrap_or((text, "{\"a\":[1,{\"b\":null}]}"));
    let Ok(expression) = serde_json::from_str::<Value>(filter) else {
        assert!(filter.parse::<ContentFilter>().is_err());
        return;
    };
    let Ok(filter) = ContentFilter::new(expression.clone()) else {
        return;
    };
    let read: ContentFilter = filter.to_string().parse().unwrap();
    assert!(read == filter, "{filter}");
    let Some(event) = event(data) else { return };
    let content = EventContent::of(&event);
    let passes = filter.matches(&content);
    assert_eq!(read.matches(&content), passes, "{filter}");
    if let Ok(not) = ContentFilter::new(serde_json::json!({ "$not": expression })) {
        assert_ne!(not.matches(&content), passes, "{filter}");
    }
    // The plain walk has the numbers of serde_json, which are exact only so far.
    let is_exact = |text: &str| !text.contains(|c| "eE".contains(c)) && longest_number(text) < 15;
    if !is_exact(data) || !is_exact(&filter.to_string()) {
        return;
    }
    let seen: Value = serde_json::from_slice(&event.payload).unwrap();
    assert_eq!(
        passes,
        holds(&expression, Some(&seen)),
        "{filter} of {data}"
    );
}

fn event(data: &str) -> Option<WebhookEvent> {
    let data: &RawValue = serde_json::from_str(data).ok()?;
    let event_type = EventType::new("order.placed").unwrap();
    WebhookEvent::new(event_type, None, data, 1 << 20, Timestamp::EPOCH).ok()
}

/// Digits and points that follow each other at most.
fn longest_number(text: &str) -> usize {
    let parts = text.split(|c: char| !c.is_ascii_digit() && c != '.');
    parts.map(str::len).max().unwrap_or(0)
}

/// Whether an expression holds of what is found, which may be nothing.
fn holds(expression: &Value, found: Option<&Value>) -> bool {
    match expression {
        Value::Object(parts) => {
            let (operators, fields): (Vec<_>, Vec<_>) =
                parts.iter().partition(|(name, _)| name.starts_with('$'));
            operators
                .iter()
                .all(|(name, with)| operator(name, with, found))
                && (fields.is_empty()
                    || some(found, &|found| {
                        let field =
                            |name: &str| found.and_then(|found| found.as_object()?.get(name));
                        fields.iter().all(|(name, inner)| holds(inner, field(name)))
                    }))
        }
        Value::Array(all) => {
            found.is_some_and(Value::is_array) && all.iter().all(|one| holds(one, found))
        }
        value => some(found, &|found| {
            found.is_some_and(|found| is_same(found, value))
        }),
    }
}

fn operator(name: &str, with: &Value, found: Option<&Value>) -> bool {
    let any = |of: &dyn Fn(&Value) -> bool| some(found, &|found| found.is_some_and(of));
    let ordered = |is: &dyn Fn(Ordering) -> bool| any(&|found| order(found, with).is_some_and(is));
    let texts = |is: &dyn Fn(&str, &str) -> bool| {
        let with = with
            .as_array()
            .cloned()
            .unwrap_or_else(|| vec![with.clone()]);
        any(&|found| {
            with.iter().any(|with| {
                found
                    .as_str()
                    .is_some_and(|found| is(found, with.as_str().unwrap()))
            })
        })
    };
    match name {
        "$and" => with.as_array().unwrap().iter().all(|one| holds(one, found)),
        "$or" => with.as_array().unwrap().iter().any(|one| holds(one, found)),
        "$not" => !holds(with, found),
        "$exist" => with.as_bool().unwrap() == found.is_some(),
        "$eq" => any(&|found| is_same(found, with)),
        "$ne" => !operator("$eq", with, found),
        "$in" => with
            .as_array()
            .unwrap()
            .iter()
            .any(|one| operator("$eq", one, found)),
        "$nin" => !operator("$in", with, found),
        "$gt" => ordered(&Ordering::is_gt),
        "$gte" => ordered(&|order| order.is_ge()),
        "$lt" => ordered(&|order| order.is_lt()),
        "$lte" => ordered(&|order| order.is_le()),
        "$startsWith" => texts(&|found, start| found.starts_with(start)),
        "$endsWith" => texts(&|found, end| found.ends_with(end)),
        _ => unreachable!("{name} was accepted"),
    }
}

/// Of an array, whether it is so of an element.
fn some(found: Option<&Value>, is: &dyn Fn(Option<&Value>) -> bool) -> bool {
    match found.and_then(Value::as_array) {
        Some(items) => items.iter().any(|item| some(Some(item), is)),
        None => is(found),
    }
}

fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Array(_) | Value::Object(_), _) => false,
        (Value::Number(_), Value::Number(_)) => order(one, other) == Some(Ordering::Equal),
        _ => one == other,
    }
}

fn order(one: &Value, other: &Value) -> Option<Ordering> {
    match (one, other) {
        (Value::String(one), Value::String(other)) => Some(one.chars().cmp(other.chars())),
        _ => one.as_f64()?.partial_cmp(&other.as_f64()?),
    }
}
