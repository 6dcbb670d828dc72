//! Patterns of events.

use webhooks_core::{EventFilter, EventType, FilterIndex};

/// The bytes are a pattern and an event type, one on each line. Filter and index say what a
/// comparison of segments says.
pub fn filter_pattern(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (pattern, event) = text.split_once('\n').unwrap_or((text, "user.created"));
    let is_type = EventType::new(event).is_ok();
    assert_eq!(is_type, is_type_by_segments(event), "{event:?}");
    let filter = EventFilter::new(pattern);
    assert_eq!(filter.is_ok(), is_pattern(pattern), "{pattern:?}");
    let Ok(filter) = filter else { return };
    let matches = filter.matches(event);
    assert_eq!(matches, is_type && is_match(pattern, event), "{text:?}");
    assert_eq!(filter.to_string(), pattern);
    if let Ok(event) = EventType::new(event) {
        let mut index = FilterIndex::new();
        index.insert(None, &filter, 7);
        let found = index.matches(None, &event);
        assert_eq!(found.contains(&7), matches, "{text:?}");
        index.remove(None, &filter, &7);
        assert!(index.matches(None, &event).is_empty());
    }
}

fn is_type_by_segments(text: &str) -> bool {
    let segment = |segment: &str| {
        !segment.is_empty()
            && segment
                .chars()
                .all(|c| matches!(c, 'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '-'))
    };
    text.chars().count() <= 256 && text.split('.').all(segment)
}

fn is_pattern(text: &str) -> bool {
    let segments: Vec<_> = text.split('.').collect();
    match &segments[..] {
        ["*"] => true,
        [prefix @ .., "*"] => is_type_by_segments(&prefix.join(".")),
        _ => is_type_by_segments(text),
    }
}

fn is_match(pattern: &str, event: &str) -> bool {
    let (pattern, event): (Vec<_>, Vec<_>) =
        (pattern.split('.').collect(), event.split('.').collect());
    match &pattern[..] {
        [prefix @ .., "*"] => event.len() > prefix.len() && event.starts_with(prefix),
        exact => event == exact,
    }
}
