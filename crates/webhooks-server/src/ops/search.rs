//! Deliveries by what their events say.
//!
//! No storage has an index over that: what matches otherwise is read and looked at, within bounds.
//!
//! A search ends for one of four reasons: it found enough, it looked at all, it looked at 100,000
//! deliveries, or 7 seconds passed. The last two are no error. The answer then has what was found, says
//! that it is not complete, and has a cursor from which the caller goes on. 7 seconds leave room within
//! the 10 seconds of a request to write the answer.
//!
//! The search needs `payloads:read` even where it answers no payload: whoever may ask "does the data
//! contain this" can find out the data piece by piece.

use std::time::Duration;

use better_auth_webhooks::storage::{DeliveryQuery, DeliveryRecord};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;
use webhooks_core::DeliveryId;

use super::exports::page_limit;
use super::operations::Ops;
use crate::access::{Caller, Scope};
use crate::problem::Problem;

/// Bytes of what is searched for at most.
const LONGEST: usize = 1_024;
/// Deliveries that one search looks at.
const MOST: usize = 100_000;
/// What a search may take; it answers with what it has found until then.
const PATIENCE: Duration = Duration::from_secs(7);

/// What the data of an event must contain.
#[derive(Clone, Debug)]
pub(crate) struct DataFilter(Value);

/// What a search has found.
#[derive(Debug)]
pub(crate) struct Found {
    /// Newest first.
    pub(crate) items: Vec<DeliveryRecord>,
    /// Everything from there up was looked at, and there may be more.
    pub(crate) next: Option<DeliveryId>,
    /// It did not stop before it had found as many as were wanted, or had looked at all.
    pub(crate) complete: bool,
}

impl DataFilter {
    /// That which is written so.
    ///
    /// # Errors
    ///
    /// 400 `malformed` for more than 1,024 bytes, or for what is no JSON.
    pub(crate) fn read(text: &str) -> Result<Self, Problem> {
        if text.len() > LONGEST {
            let detail = format!("data has {} bytes, at most {LONGEST}", text.len());
            return Err(Problem::malformed(detail));
        }
        let value = serde_json::from_str(text);
        let value = value.map_err(|error| Problem::malformed(format!("data: {error}")))?;
        Ok(Self(value))
    }

    /// Whether the event of a delivery says that. One whose payload was erased says nothing.
    pub(crate) fn matches(&self, record: &DeliveryRecord) -> bool {
        /// Of an envelope, what is looked at.
        #[derive(Deserialize)]
        struct Said {
            data: Value,
        }
        let said = serde_json::from_slice::<Said>(&record.delivery.event.payload);
        said.is_ok_and(|said| contains(&said.data, &self.0))
    }
}

/// Whether a value contains another: an object all of its fields, an array all of its items in any
/// order, anything else the same.
fn contains(value: &Value, wanted: &Value) -> bool {
    match (value, wanted) {
        (Value::Object(fields), Value::Object(wanted)) => wanted.iter().all(|(name, wanted)| {
            let field = fields.get(name);
            field.is_some_and(|field| contains(field, wanted))
        }),
        (Value::Array(items), Value::Array(wanted)) => wanted
            .iter()
            .all(|wanted| items.iter().any(|item| contains(item, wanted))),
        // 1 and 1.0 are one number.
        (Value::Number(number), Value::Number(wanted)) => {
            number == wanted || number.as_f64() == wanted.as_f64()
        }
        (value, wanted) => value == wanted,
    }
}

impl Ops {
    /// Whether the caller may search for data: who may not see it could ask for it piece by piece.
    ///
    /// # Errors
    ///
    /// 403 `scope-missing` without `deliveries:read` or `payloads:read`.
    pub(crate) fn may_search(&self, caller: &Caller) -> Result<(), Problem> {
        caller.needs(Scope::DeliveriesRead)?;
        caller.needs(Scope::PayloadsRead)
    }

    /// How many there are, at most so many, and whether everything was looked at.
    pub(crate) async fn search_count(
        &self,
        caller: &Caller,
        query: DeliveryQuery,
        data: &DataFilter,
        at_most: u64,
    ) -> Result<(u64, bool), Problem> {
        let mut count = 0;
        let mut seen = |_: DeliveryRecord| {
            count += 1;
            count >= at_most
        };
        let looked = self.look(caller, query, data, &mut seen).await?;
        Ok((count, looked.complete))
    }

    /// So many deliveries that match and whose events say that, newest first.
    pub(crate) async fn search(
        &self,
        caller: &Caller,
        query: DeliveryQuery,
        data: &DataFilter,
        most: usize,
    ) -> Result<Found, Problem> {
        let mut items = Vec::new();
        let mut seen = |record: DeliveryRecord| {
            items.push(record);
            items.len() >= most
        };
        let looked = self.look(caller, query, data, &mut seen).await?;
        Ok(Found { items, ..looked })
    }

    /// Shows `seen` what matches, until it has enough, everything was looked at, or the bounds are reached.
    async fn look(
        &self,
        caller: &Caller,
        query: DeliveryQuery,
        data: &DataFilter,
        seen: &mut (dyn FnMut(DeliveryRecord) -> bool + Send),
    ) -> Result<Found, Problem> {
        self.may_search(caller)?;
        let until = Instant::now() + PATIENCE;
        let limit = page_limit(self.max_body_bytes()?);
        let mut query = DeliveryQuery { limit, ..query };
        let (mut next, mut looked_at) = (query.before, 0);
        loop {
            let page = tokio::time::timeout_at(until, self.deliveries(caller, query.clone()));
            let Ok(page) = page.await else {
                return Ok(Found::stopped(next, false));
            };
            let page = page?;
            for record in page.items {
                next = Some(record.delivery.id);
                looked_at += 1;
                if data.matches(&record) && seen(record) {
                    return Ok(Found::stopped(next, true));
                }
                if looked_at >= MOST || Instant::now() >= until {
                    return Ok(Found::stopped(next, false));
                }
                // What is read may be long: others have their turn.
                tokio::task::consume_budget().await;
            }
            next = page.next;
            query.before = page.next;
            if page.next.is_none() {
                return Ok(Found::stopped(None, true));
            }
        }
    }
}

impl Found {
    /// A search that stopped there.
    const fn stopped(next: Option<DeliveryId>, complete: bool) -> Self {
        Self {
            items: Vec::new(),
            next,
            complete,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_contains_its_parts_and_no_others() {
        let value = json!({ "a": 1, "b": { "c": [1, { "d": "x", "e": null }], "f": 2.5 } });
        for wanted in [
            json!({}),
            json!({ "a": 1.0 }),
            json!({ "b": { "c": [] } }),
            json!({ "b": { "c": [{ "d": "x" }, 1], "f": 2.5 } }),
            json!({ "b": { "c": [{ "e": null }] } }),
        ] {
            assert!(contains(&value, &wanted), "{wanted}");
        }
        for wanted in [
            json!([]),
            json!({ "a": "1" }),
            json!({ "x": null }),
            json!({ "b": { "c": { "d": "x" } } }),
            json!({ "b": { "c": [2] } }),
        ] {
            assert!(!contains(&value, &wanted), "{wanted}");
        }
    }
}
