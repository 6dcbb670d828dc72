//! What grows with the number of endpoints, and must not.

use std::hint::black_box;
use std::sync::Arc;

use serde_json::json;
use webhooks_core::{
    Admission, AdmissionDecision, CircuitBreakerConfig, ContentFilter, EventContent, EventFilter,
    EventType, FilterIndex, RateLimitConfig, Timestamp, Verdict, WebhookEvent,
};
use webhooks_resilience::ResilienceAdmission;

use crate::{Error, Step};

const NOW: Timestamp = Timestamp::from_secs(1_750_000_000);

/// An event that none of so many endpoints wants, of which every second one asks for all below a
/// prefix.
pub(crate) fn unmatched(endpoints: usize) -> Result<Step, Error> {
    let mut index = FilterIndex::new();
    for n in 0..endpoints {
        let pattern = match n % 2 {
            0 => format!("order_{n}.created"),
            _ => format!("order_{n}.*"),
        };
        index.insert(None, &EventFilter::new(&pattern)?, n);
    }
    let found = index.matches(None, "user.profile.created");
    if !found.is_empty() {
        return Err("an event was matched that nobody asked for".into());
    }
    Ok(Box::new(move || {
        black_box(index.matches(black_box(None), black_box("user.profile.created")));
    }))
}

/// One request that succeeds, under circuit breakers of so many endpoints, each with a failure.
pub(crate) fn breaker(endpoints: usize) -> Result<Step, Error> {
    gated(endpoints, None)
}

/// The same with a rate limit besides.
pub(crate) fn limiter(endpoints: usize) -> Result<Step, Error> {
    let limit = RateLimitConfig {
        requests_per_second: 1_000,
        burst_size: 1_000,
    };
    gated(endpoints, Some(limit))
}

fn gated(endpoints: usize, limit: Option<RateLimitConfig>) -> Result<Step, Error> {
    let admission = ResilienceAdmission::new(CircuitBreakerConfig::default());
    let ids: Vec<Arc<str>> = (0..endpoints)
        .map(|n| format!("endpoint_{n}").into())
        .collect();
    for id in &ids {
        request(&admission, id, limit, NOW, Verdict::Failed);
    }
    let mut turn = 0;
    Ok(Box::new(move || {
        // As far apart as the turns of different endpoints are, and later each time, so that there
        // is always a token.
        turn += 1;
        if let Some(id) = ids.get(turn * 7_919 % ids.len()) {
            let now = Timestamp::from_millis(NOW.as_millis() + i64::try_from(turn).unwrap_or(0));
            request(&admission, id, limit, now, Verdict::Alive);
        }
    }))
}

fn request(
    admission: &ResilienceAdmission,
    id: &str,
    limit: Option<RateLimitConfig>,
    now: Timestamp,
    verdict: Verdict,
) {
    if let AdmissionDecision::Go(permit) = admission.admit(black_box(id), limit, now) {
        black_box(permit.settle(verdict, now));
    }
}

/// An event of a type that a thousand of so many endpoints ask for, each with a filter on what is in
/// it, which every tenth of the thousand passes: the look-up, reading the event, and the filters.
pub(crate) fn filtered(endpoints: usize) -> Result<Step, Error> {
    const ASKING: usize = 1_000;
    let mut index = FilterIndex::new();
    let mut filters = Vec::with_capacity(endpoints);
    for n in 0..endpoints {
        let pattern = match n < ASKING {
            true => "order.placed".to_owned(),
            false => format!("order_{n}.created"),
        };
        index.insert(None, &EventFilter::new(&pattern)?, n);
        filters.push(ContentFilter::new(json!({
            "data": { "order": {
                "total": { "$gte": 100 },
                "currency": { "$in": ["CHF", "EUR"] },
                "region": n % 10,
            } },
        }))?);
    }
    let order =
        json!({ "id": 7, "total": 119.95, "currency": "EUR", "region": 3, "items": [1, 2] });
    let data = json!({ "order": order, "customer": { "id": "customer_7", "tags": ["new"] } });
    let event_type = EventType::new("order.placed")?;
    let event = WebhookEvent::new(event_type, None, &data, 256 << 10, NOW)?;
    let matched = move || {
        let event = black_box(&event);
        let mut found = index.matches(None, &event.event_type);
        let content = EventContent::of(event);
        found.retain(|n| {
            filters
                .get(*n)
                .is_some_and(|filter| filter.matches(&content))
        });
        found
    };
    if matched().len() != ASKING / 10 {
        return Err("an event was matched with others than those whose filter it passes".into());
    }
    Ok(Box::new(move || {
        black_box(matched());
    }))
}
