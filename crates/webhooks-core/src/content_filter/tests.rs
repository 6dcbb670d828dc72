use serde_json::json;

use super::*;
use crate::{EventType, Timestamp, WebhookEvent};

fn event(data: &str) -> WebhookEvent {
    let data: &serde_json::value::RawValue = serde_json::from_str(data).unwrap();
    let event_type = EventType::new("order.placed").unwrap();
    let tenant = Some("org_1".into());
    let at = Timestamp::from_secs(1_750_000_000);
    WebhookEvent::new(event_type, tenant, data, 1 << 20, at).unwrap()
}

/// Whether an event with this data passes a filter on its data.
fn passes(filter: &str, data: &str) -> bool {
    let filter: ContentFilter = format!(r#"{{"data":{filter}}}"#).parse().unwrap();
    filter.matches(&EventContent::of(&event(data)))
}

fn refusal(filter: Value) -> String {
    let error = ContentFilter::new(filter).unwrap_err();
    assert!(matches!(error, WebhookError::InvalidFilter(_)));
    error.to_string()
}

/// Filters on `data`, each with data that passes and data that does not.
const TABLE: &[(&str, &[&str], &[&str])] = &[
    (r#"{}"#, &["1", "{}", "[]", "null"], &[]),
    // Equality, by kind and value.
    (
        r#"{"a":"x"}"#,
        &[r#"{"a":"x","b":1}"#],
        &[r#"{"a":"X"}"#, r#"{"b":"x"}"#, r#""x""#],
    ),
    (
        r#"{"a":{"$eq":"x"}}"#,
        &[r#"{"a":"x"}"#],
        &[r#"{"a":"xy"}"#, "{}"],
    ),
    (
        r#"{"a":7}"#,
        &[r#"{"a":7}"#, r#"{"a":7.0}"#, r#"{"a":0.7e1}"#],
        &[r#"{"a":"7"}"#],
    ),
    (
        r#"{"a":true}"#,
        &[r#"{"a":true}"#],
        &[r#"{"a":1}"#, r#"{"a":"true"}"#, r#"{"a":false}"#],
    ),
    (
        r#"{"a":null}"#,
        &[r#"{"a":null}"#],
        &[r#"{"a":0}"#, r#"{"a":""}"#, "{}"],
    ),
    (
        r#"{"a":0}"#,
        &[r#"{"a":-0}"#, r#"{"a":0.00}"#],
        &[r#"{"a":1e-400}"#, r#"{"a":null}"#],
    ),
    (r#"7"#, &["7", "[1,7]"], &["8", r#"{"7":7}"#]),
    // What is not there, and what is not so.
    (
        r#"{"a":{"$ne":"x"}}"#,
        &[r#"{"a":"y"}"#, "{}", "1", r#"{"a":{}}"#],
        &[r#"{"a":"x"}"#],
    ),
    (
        r#"{"a":{"$nin":[1,null]}}"#,
        &[r#"{"a":2}"#, "{}"],
        &[r#"{"a":1}"#, r#"{"a":null}"#],
    ),
    (
        r#"{"a":{"$not":{"$gt":1}}}"#,
        &[r#"{"a":1}"#, r#"{"a":"x"}"#, "{}"],
        &[r#"{"a":2}"#],
    ),
    (
        r#"{"a":{"b":{"$ne":1}}}"#,
        &["{}", r#"{"a":1}"#, r#"{"a":{"b":2}}"#],
        &[r#"{"a":{"b":1}}"#],
    ),
    (
        r#"{"a":{"$exist":true}}"#,
        &[r#"{"a":null}"#, r#"{"a":[]}"#, r#"{"a":{}}"#],
        &["{}", "[]"],
    ),
    (
        r#"{"a":{"$exist":false}}"#,
        &["{}", "1", r#"{"b":1}"#],
        &[r#"{"a":null}"#, "[]"],
    ),
    (
        r#"{"a":{"b":{"$exist":false}}}"#,
        &["{}", r#"{"a":1}"#],
        &[r#"{"a":{"b":0}}"#, r#"{"a":[]}"#],
    ),
    // Order: numbers among numbers, strings among strings.
    (
        r#"{"a":{"$gt":1}}"#,
        &[r#"{"a":1.0000000000000000000001}"#, r#"{"a":1e400}"#],
        &[r#"{"a":1}"#, r#"{"a":"2"}"#, r#"{"a":null}"#, "{}"],
    ),
    (
        r#"{"a":{"$gte":1,"$lt":2}}"#,
        &[r#"{"a":1}"#, r#"{"a":19e-1}"#],
        &[r#"{"a":2}"#, r#"{"a":0.9}"#],
    ),
    (
        r#"{"a":{"$lte":-1.5}}"#,
        &[r#"{"a":-1.50}"#, r#"{"a":-2}"#],
        &[r#"{"a":-1.4}"#, r#"{"a":0}"#],
    ),
    (
        r#"{"a":{"$gt":"b"}}"#,
        &[r#"{"a":"ba"}"#, r#"{"a":"c"}"#, r#"{"a":"\u00e9"}"#],
        &[r#"{"a":"b"}"#, r#"{"a":"Z"}"#, r#"{"a":1}"#],
    ),
    // By code points, and not by UTF-16, where the key's first half would come before.
    (
        "{\"a\":{\"$gt\":\"\u{ff5e}\"}}",
        &[r#"{"a":"\ud83d\udd11"}"#],
        &[r#"{"a":"\uff5e"}"#],
    ),
    (
        r#"{"a":18446744073709551615}"#,
        &[r#"{"a":18446744073709551615}"#],
        &[r#"{"a":18446744073709551616}"#],
    ),
    (
        r#"{"a":9007199254740993}"#,
        &[r#"{"a":9007199254740993}"#],
        &[r#"{"a":9007199254740992}"#],
    ),
    (
        r#"{"a":-9223372036854775808}"#,
        &[r#"{"a":-9223372036854775808}"#],
        &[r#"{"a":-9223372036854775809}"#],
    ),
    (
        r#"{"a":0.1}"#,
        &[r#"{"a":0.1}"#, r#"{"a":1e-1}"#],
        &[r#"{"a":0.1000000000000000001}"#],
    ),
    // One of several.
    (
        r#"{"a":{"$in":["b",2,"a",null,1]}}"#,
        &[r#"{"a":"a"}"#, r#"{"a":1.0}"#, r#"{"a":null}"#],
        &[r#"{"a":"c"}"#, r#"{"a":"1"}"#, "{}"],
    ),
    (
        r#"{"a":{"$startsWith":"or"}}"#,
        &[r#"{"a":"or"}"#, r#"{"a":"order"}"#],
        &[r#"{"a":"Order"}"#, r#"{"a":1}"#, "{}"],
    ),
    (
        r#"{"a":{"$endsWith":[".de",".ch"]}}"#,
        &[r#"{"a":"x.ch"}"#],
        &[r#"{"a":"x.com"}"#, r#"{"a":".d"}"#],
    ),
    // Logic, at any place.
    (
        r#"{"$or":[{"a":1},{"b":2}]}"#,
        &[r#"{"a":1}"#, r#"{"b":2}"#],
        &[r#"{"a":2,"b":1}"#],
    ),
    (
        r#"{"$and":[{"a":1},{"b":2}],"c":3}"#,
        &[r#"{"a":1,"b":2,"c":3}"#],
        &[r#"{"a":1,"b":2}"#],
    ),
    (
        r#"{"a":{"$or":["x",{"$startsWith":"y"}]}}"#,
        &[r#"{"a":"x"}"#, r#"{"a":"yy"}"#],
        &[r#"{"a":"xx"}"#],
    ),
    (
        r#"{"$not":{"a":1,"b":2}}"#,
        &[r#"{"a":1}"#, "{}"],
        &[r#"{"a":1,"b":2}"#],
    ),
    // Arrays: of one of the elements, at any depth; each operator for itself, but the fields
    // of an object together.
    (
        r#"{"a":"x"}"#,
        &[r#"{"a":["y","x"]}"#, r#"{"a":[["x"]]}"#],
        &[r#"{"a":[]}"#, r#"{"a":[{"a":"x"}]}"#],
    ),
    (
        r#"{"a":{"$ne":"x"}}"#,
        &[r#"{"a":[]}"#, r#"{"a":["y"]}"#],
        &[r#"{"a":["y","x"]}"#],
    ),
    (
        r#"{"a":{"$nin":[1,2]}}"#,
        &[r#"{"a":[3]}"#],
        &[r#"{"a":[3,2]}"#],
    ),
    (
        r#"{"a":{"$gt":5,"$lt":3}}"#,
        &[r#"{"a":[1,9]}"#],
        &[r#"{"a":[4]}"#, r#"{"a":4}"#],
    ),
    (
        r#"{"a":{"k":1,"v":2}}"#,
        &[r#"{"a":[{"k":0},{"k":1,"v":2}]}"#],
        &[r#"{"a":[{"k":1},{"v":2}]}"#],
    ),
    (
        r#"{"a":{"k":{"$ne":1}}}"#,
        &[r#"{"a":[{"k":1},{"k":2}]}"#, r#"{"a":[1]}"#],
        &[r#"{"a":[{"k":1}]}"#, r#"{"a":[]}"#],
    ),
    (
        r#"{"a":{"$not":{"k":1}}}"#,
        &[r#"{"a":[{"k":2}]}"#, r#"{"a":[]}"#],
        &[r#"{"a":[{"k":1},{"k":2}]}"#],
    ),
    (
        r#"{"a":["x","y"]}"#,
        &[r#"{"a":["y","z","x"]}"#],
        &[r#"{"a":["x"]}"#, r#"{"a":"x"}"#, "{}"],
    ),
    (
        r#"{"a":[{"k":1},{"k":{"$gt":5}}]}"#,
        &[r#"{"a":[{"k":9},{"k":1}]}"#],
        &[r#"{"a":[{"k":1}]}"#],
    ),
    // Keys that stand twice, escapes, and a key that is empty.
    (
        r#"{"a":1}"#,
        &[r#"{"a":2,"a":1}"#, r#"{"\u0061":1}"#],
        &[r#"{"a":1,"a":2}"#],
    ),
    (
        r#"{"":{"b\"":"\n"}}"#,
        &[r#"{"":{"b\"":"\n"}}"#, r#"{"":{"\u0062\u0022":"\u000a"}}"#],
        &[r#"{"":{"b":"n"}}"#],
    ),
];

#[test]
fn conditions_hold_as_the_table_says() {
    for (filter, passing, others) in TABLE {
        for data in *passing {
            assert!(passes(filter, data), "{data} should pass {filter}");
        }
        for data in *others {
            assert!(!passes(filter, data), "{data} should not pass {filter}");
        }
    }
}

#[test]
fn the_events_own_fields_are_as_its_envelope_has_them() {
    let event = event("1");
    let content = EventContent::of(&event);
    let passes = |filter| ContentFilter::new(filter).unwrap().matches(&content);
    assert!(passes(json!({})));
    assert!(passes(
        json!({ "event": { "$startsWith": "order." }, "tenant": "org_1" })
    ));
    assert!(passes(json!({ "id": event.id.to_string() })));
    assert!(passes(
        json!({ "timestamp": { "$gte": "2025-06-15", "$lt": "2025-06-16" } })
    ));
    assert!(passes(
        json!({ "$or": [{ "event": "a" }, { "$not": { "tenant": "org_2" } }] })
    ));
    assert!(!passes(json!({ "event": "order" })));
    assert!(!passes(json!({ "tenant": { "$exist": false } })));
}

#[test]
fn an_event_without_content_passes_nothing() {
    for payload in ["", "[]", "{", "\u{0}"] {
        let event = WebhookEvent {
            payload: payload.into(),
            ..event("1")
        };
        let content = EventContent::of(&event);
        for filter in [json!({}), json!({ "$not": { "data": 1 } })] {
            assert!(!ContentFilter::new(filter).unwrap().matches(&content));
        }
    }
}

const BROKEN: &[(&str, &str)] = &[
    (r#"1"#, "filter is no object"),
    (r#"[]"#, "filter is no object"),
    (
        r#"{ "date": 1 }"#,
        "filter names the field \"date\" of the event, which has id, event,",
    ),
    (r#"{ "$or": [{ "total": 1 }] }"#, "\"total\""),
    (
        r#"{ "$or": [1] }"#,
        "where an object names fields of the event",
    ),
    (
        r#"{ "$eq": 1 }"#,
        "filter has $eq where fields of the event are named",
    ),
    (
        r#"{ "data": { "$over": 1 } }"#,
        "filter has the operator \"$over\", which there is not",
    ),
    (r#"{ "$nor": [] }"#, "the operator \"$nor\""),
    (r#"{ "data": { "$neq": 1 } }"#, "the operator \"$neq\""),
    (
        r#"{ "data": { "$or": {} } }"#,
        "filter has $or without an array of expressions",
    ),
    (r#"{ "data": { "$and": [] } }"#, "filter has an empty $and"),
    (r#"{ "data": [] }"#, "filter has an empty array"),
    (r#"{ "data": [[1]] }"#, "filter has an array in an array"),
    (
        r#"{ "data": { "$in": "abc" } }"#,
        "filter has $in without an array of one or more values",
    ),
    (r#"{ "data": { "$nin": [] } }"#, "filter has $nin without"),
    (
        r#"{ "data": { "$in": [{}] } }"#,
        "filter has $in without a string, a number",
    ),
    (
        r#"{ "data": { "$eq": [1] } }"#,
        "filter has $eq without a string, a number",
    ),
    (
        r#"{ "data": { "$gt": true } }"#,
        "filter has $gt without a number or a string",
    ),
    (
        r#"{ "data": { "$startsWith": 1 } }"#,
        "filter has $startsWith without a string",
    ),
    (
        r#"{ "data": { "$endsWith": ["a", 1] } }"#,
        "filter has $endsWith without a string",
    ),
    (
        r#"{ "data": { "$exist": 1 } }"#,
        "filter has $exist without true or false",
    ),
    (r#"{ "data": 0.1234567890123456 }"#, "more than 15 digits"),
    (r#"{ "data": 1e-30 }"#, "an exponent beyond 22"),
    (r#"{ "data": 1e300 }"#, "an exponent beyond 22"),
];

#[test]
fn each_broken_rule_is_named() {
    for (filter, expected) in BROKEN {
        let text = refusal(serde_json::from_str(filter).unwrap());
        assert!(text.contains(expected), "{filter}: {text}");
    }
}

#[test]
fn the_bounds_are_exact_and_named() {
    let accepted = |filter: Value| ContentFilter::new(filter).map(drop).unwrap();
    let long = |bytes: usize| json!({ "data": "x".repeat(bytes - r#"{"data":""}"#.len()) });
    accepted(long(16_384));
    assert!(refusal(long(16_385)).contains("filter is longer than 16384 bytes"));
    let deep = |depth: usize| {
        let inner = (2..depth).fold(json!({ "a": 1 }), |inner, _| json!({ "a": inner }));
        json!({ "data": inner })
    };
    accepted(deep(16));
    assert!(refusal(deep(17)).contains("filter is nested more than 16 deep"));
    let operators =
        |count: usize| json!({ "data": { "a": vec![json!({ "$exist": true }); count] } });
    accepted(operators(64));
    assert!(refusal(operators(65)).contains("filter has more than 64 operators"));
    let values = |count: usize| json!({ "data": { "a": { "$in": vec![1; count] } } });
    accepted(values(256));
    assert!(refusal(values(257)).contains("filter has more than 256 values"));
    accepted(json!({ "data": [u64::MAX, i64::MIN, 0.123_456_789_012_345, 1.5e22, 15e-22] }));
}

#[test]
fn in_json_it_is_its_expression() {
    let json = r#"{"data":{"a":{"$gte":1.5}},"event":"x"}"#;
    let filter: ContentFilter = serde_json::from_str(json).unwrap();
    assert_eq!(serde_json::to_string(&filter).unwrap(), json);
    assert_eq!(
        (filter.to_string().as_str(), format!("{filter:?}").as_str()),
        (json, json)
    );
    assert!(filter == json.parse().unwrap());
    assert!("{".parse::<ContentFilter>().is_err());
}

#[test]
fn one_of_a_later_version_is_kept_and_passes_nothing() {
    let json = r#"{"data":{"a":{"$like":"b%"}}}"#;
    let filter: ContentFilter = serde_json::from_str(json).unwrap();
    assert!(filter.validate().is_err());
    assert!(!filter.matches(&EventContent::of(&event(r#"{"a":"bc"}"#))));
    assert_eq!(serde_json::to_string(&filter).unwrap(), json);
}
