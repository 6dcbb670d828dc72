//! Which of many endpoints want an event, without a look at each of them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::EventFilter;
use crate::filter::Pattern;

/// Endpoints' filters, indexed by what they match.
///
/// A look-up costs one hash per segment of the event's type plus one step per match, however many
/// keys there are. `K` is what stands for an endpoint: an id, a number.
///
/// ```
/// use webhooks_core::{EventFilter, FilterIndex};
///
/// let mut index = FilterIndex::new();
/// index.insert(None, &EventFilter::new("user.*")?, "crm");
/// index.insert(None, &EventFilter::new("user.created")?, "crm");
/// index.insert(None, &EventFilter::new("order.paid")?, "billing");
/// assert_eq!(index.matches(None, "user.created"), ["crm"]);
/// # Ok::<(), webhooks_core::WebhookError>(())
/// ```
#[derive(Clone, Debug)]
pub struct FilterIndex<K> {
    /// By tenant; `None` holds the endpoints without one.
    tenants: HashMap<Option<Arc<str>>, Patterns<K>>,
}

#[derive(Clone, Debug)]
struct Patterns<K> {
    /// Those that take everything.
    any: BTreeSet<K>,
    /// By prefix, without its dot.
    below: HashMap<Box<str>, BTreeSet<K>>,
    /// By exact type.
    exact: HashMap<Box<str>, BTreeSet<K>>,
}

impl<K: Clone + Ord> FilterIndex<K> {
    /// An index with nothing in it.
    #[must_use]
    pub fn new() -> Self {
        Self {
            tenants: HashMap::new(),
        }
    }

    /// Adds a filter of the endpoint `key`, which may have several.
    pub fn insert(&mut self, tenant: Option<&Arc<str>>, filter: &EventFilter, key: K) {
        let patterns = self.tenants.entry(tenant.cloned()).or_default();
        match filter.pattern() {
            Pattern::Any => patterns.any.insert(key),
            Pattern::Below(prefix) => patterns
                .below
                .entry(prefix.clone())
                .or_default()
                .insert(key),
            Pattern::Exact(exact) => patterns.exact.entry(exact.clone()).or_default().insert(key),
        };
    }

    /// Takes back what [`insert`](Self::insert) added.
    ///
    /// Nothing, if it was not there. Sets that become empty go, so that the index follows the
    /// filters of now.
    pub fn remove(&mut self, tenant: Option<&Arc<str>>, filter: &EventFilter, key: &K) {
        let tenant = tenant.cloned();
        let Some(patterns) = self.tenants.get_mut(&tenant) else {
            return;
        };
        match filter.pattern() {
            Pattern::Any => {
                patterns.any.remove(key);
            }
            Pattern::Below(prefix) => remove_from(&mut patterns.below, prefix, key),
            Pattern::Exact(exact) => remove_from(&mut patterns.exact, exact, key),
        }
        if patterns.any.is_empty() && patterns.below.is_empty() && patterns.exact.is_empty() {
            self.tenants.remove(&tenant);
        }
    }

    /// The keys that want an event of this type sent for this tenant, each once: those of the
    /// tenant and those without a tenant; for an event without a tenant only the latter.
    #[must_use]
    pub fn matches(&self, tenant: Option<&Arc<str>>, event_type: &str) -> Vec<K> {
        let mut found = Vec::new();
        // First those without a tenant, which take the events of all of them.
        self.collect(&None, event_type, &mut found);
        if tenant.is_some() {
            self.collect(&tenant.cloned(), event_type, &mut found);
        }
        // One endpoint may be found by several of its filters.
        if found.len() > 1 {
            found.sort_unstable();
            found.dedup();
        }
        found
    }

    fn collect(&self, tenant: &Option<Arc<str>>, event_type: &str, found: &mut Vec<K>) {
        let Some(patterns) = self.tenants.get(tenant) else {
            return;
        };
        found.extend(patterns.any.iter().cloned());
        if let Some(exact) = patterns.exact.get(event_type) {
            found.extend(exact.iter().cloned());
        }
        // The walk over the type's dots is for prefixes alone.
        if patterns.below.is_empty() {
            return;
        }
        // Every proper prefix, from the shortest: `a.b.c` is below `a` and below `a.b`, and not
        // below itself.
        for (dot, _) in event_type.match_indices('.') {
            let below = event_type
                .get(..dot)
                .and_then(|prefix| patterns.below.get(prefix));
            found.extend(below.into_iter().flatten().cloned());
        }
    }
}

fn remove_from<K: Ord>(map: &mut HashMap<Box<str>, BTreeSet<K>>, pattern: &str, key: &K) {
    if let Some(keys) = map.get_mut(pattern) {
        keys.remove(key);
        if keys.is_empty() {
            map.remove(pattern);
        }
    }
}

impl<K: Clone + Ord> Default for FilterIndex<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K> Default for Patterns<K> {
    fn default() -> Self {
        Self {
            any: BTreeSet::new(),
            below: HashMap::new(),
            exact: HashMap::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filter(pattern: &str) -> EventFilter {
        EventFilter::new(pattern).unwrap()
    }

    #[test]
    fn an_endpoint_found_by_two_filters_is_found_once() {
        let mut index = FilterIndex::new();
        for pattern in ["*", "user.*", "user.created"] {
            index.insert(None, &filter(pattern), 7);
        }
        assert_eq!(index.matches(None, "user.created"), [7]);
    }

    #[test]
    fn tenants_see_their_own_and_those_of_nobody() {
        let (one, two): (Arc<str>, Arc<str>) = ("one".into(), "two".into());
        let mut index = FilterIndex::new();
        index.insert(None, &filter("*"), 0);
        index.insert(Some(&one), &filter("*"), 1);
        index.insert(Some(&two), &filter("*"), 2);
        assert_eq!(index.matches(None, "a"), [0]);
        assert_eq!(index.matches(Some(&one), "a"), [0, 1]);
        assert_eq!(index.matches(Some(&"three".into()), "a"), [0]);
    }

    proptest! {
        #[test]
        fn finds_what_the_filters_match_one_by_one(
            patterns in proptest::collection::vec("(\\*|[ab](\\.[ab]){0,2}(\\.\\*)?)", 0..12),
            removed in proptest::collection::vec(any::<bool>(), 12),
            event in "[ab](\\.[ab]){0,3}",
        ) {
            let filters: Vec<_> = patterns.iter().map(|p| filter(p)).collect();
            let mut index = FilterIndex::new();
            for (key, f) in filters.iter().enumerate() {
                index.insert(None, f, key);
            }
            for (key, f) in filters.iter().enumerate().filter(|(key, _)| removed[*key]) {
                index.remove(None, f, &key);
            }
            let expected: Vec<_> = (0..filters.len())
                .filter(|key| !removed[*key] && filters[*key].matches(&event))
                .collect();
            prop_assert_eq!(index.matches(None, &event), expected);
        }
    }
}
