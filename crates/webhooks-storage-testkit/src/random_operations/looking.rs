use std::collections::HashMap;

use webhooks_core::storage::{
    DeliveryQuery, DeliveryRecord, EventQuery, GroupBy, GroupKey, Groups, MAX_PAGE, StatusFilter,
};
use webhooks_core::{DeadReason, DeliveryId, DeliveryState, EventFilter, EventId, FailureKind};

use super::Run;
use crate::operation::{ENDPOINTS, Look};

impl Run {
    /// Lists, counts and groups what a query finds, and the events that it would find. What is to be
    /// found is what matches of everything that is listed.
    pub(super) async fn look(&self, look: &Look) {
        let query = self.query(look);
        let matching: Vec<_> = (self.everything().await.into_iter())
            .filter(|record| query.matches(record))
            .collect();
        let expected: Vec<_> = matching.iter().map(|record| record.delivery.id).collect();
        assert_eq!(self.pages(query.clone()).await, expected, "{query:?}");
        let count = self.storage().count(&query, 10_000).await.unwrap();
        assert_eq!(count, expected.len() as u64, "{query:?}");
        self.look_at_groups(&query, &matching).await;
        self.look_at_events(&query).await;
    }

    async fn everything(&self) -> Vec<DeliveryRecord> {
        let query = DeliveryQuery {
            limit: MAX_PAGE,
            ..DeliveryQuery::default()
        };
        self.bench.list(&query).await
    }

    fn query(&self, look: &Look) -> DeliveryQuery {
        let endpoints =
            (look.endpoints.as_ref()).map(|of| of.iter().map(|at| ENDPOINTS[*at].into()).collect());
        let pattern = look.pattern.map(|n| ["user.*", "order.paid", "*"][n]);
        // Ready and scheduled together: when the one becomes the other is the storage's choice.
        let states: [&[DeliveryState]; 5] = [
            &[],
            &[DeliveryState::Ready, DeliveryState::Scheduled],
            &[DeliveryState::Blocked, DeliveryState::Dead],
            &[DeliveryState::Leased],
            &[DeliveryState::Delivered, DeliveryState::Cancelled],
        ];
        let failures: [&[FailureKind]; 3] = [
            &[],
            &[FailureKind::Timeout],
            &[FailureKind::ServerError, FailureKind::Gone],
        ];
        let statuses = [
            StatusFilter::Exact(503),
            StatusFilter::Class(2),
            StatusFilter::NoResponse,
            StatusFilter::Class(4),
        ];
        let events = &self.model.events;
        let time = |at: &Option<proptest::sample::Index>| {
            let at = at.filter(|_| !events.is_empty())?;
            Some(events[at.index(events.len())].sent.created_at)
        };
        let tenant = look.tenant.map(|of| ["org_1", "org_2"][usize::from(of)]);
        DeliveryQuery {
            endpoint_ids: endpoints,
            event_type: pattern.map(|pattern| EventFilter::new(pattern).unwrap()),
            tenant: tenant.map(Into::into),
            states: states[look.states].to_vec(),
            dead_reasons: look
                .expired
                .then_some(DeadReason::Expired)
                .into_iter()
                .collect(),
            last_failures: failures[look.failures].to_vec(),
            last_status: look.status.map(|n| statuses[n]),
            from: time(&look.times[0]),
            to: time(&look.times[1]),
            updated_from: time(&look.times[2]),
            limit: look.limit,
            ..DeliveryQuery::default()
        }
    }

    async fn pages(&self, mut query: DeliveryQuery) -> Vec<DeliveryId> {
        let mut seen = Vec::new();
        loop {
            let page = self.storage().deliveries(&query).await.unwrap();
            assert!(page.items.len() <= query.limit && seen.len() <= MAX_PAGE);
            seen.extend(page.items.iter().map(|record| record.delivery.id));
            if page.next.is_none() {
                return seen;
            }
            query.before = page.next;
        }
    }

    async fn look_at_groups(&self, query: &DeliveryQuery, matching: &[DeliveryRecord]) {
        let by = [
            GroupBy::EndpointId,
            GroupBy::LastFailure,
            GroupBy::DeadReason,
        ];
        let mut groups = HashMap::new();
        for record in matching {
            *groups.entry(GroupKey::of(record, &by)).or_default() += 1;
        }
        let counted = self.storage().count_by(query, &by, 10_000).await.unwrap();
        assert_eq!(counted, Groups::new(groups, false), "{query:?}");
    }

    /// With those filters that events have, from either end.
    async fn look_at_events(&self, query: &DeliveryQuery) {
        let mut query = EventQuery {
            event_type: query.event_type.clone(),
            tenant: query.tenant.clone(),
            from: query.from,
            to: query.to,
            limit: query.limit,
            ..EventQuery::default()
        };
        let events = self.model.events.iter();
        let mut expected: Vec<_> = events
            .filter(|event| query.matches(&event.sent))
            .map(|event| event.id())
            .collect();
        expected.sort_unstable();
        query.after = Some(EventId::MIN);
        assert_eq!(self.pages_of_events(query.clone()).await, expected);
        expected.reverse();
        query.after = None;
        assert_eq!(self.pages_of_events(query).await, expected);
    }

    async fn pages_of_events(&self, mut query: EventQuery) -> Vec<EventId> {
        let mut seen = Vec::new();
        loop {
            let page = self.storage().events(&query).await.unwrap();
            assert!(page.items.len() <= query.limit && seen.len() <= MAX_PAGE);
            seen.extend(page.items.iter().map(|record| record.event.id));
            match query.after {
                _ if page.next.is_none() => return seen,
                Some(_) => query.after = page.next,
                None => query.before = page.next,
            }
        }
    }
}
