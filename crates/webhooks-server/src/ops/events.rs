//! Events.

use better_auth_webhooks::storage::{
    DeliveryQuery, DeliveryRecord, EventQuery, EventRecord, MAX_PAGE, Page, StateCounts,
};
use better_auth_webhooks::{OutgoingEvent, SendReceipt};
use webhooks_core::{EventId, WebhookError};

use super::audit::Action;
use super::operations::Ops;
use crate::access::{Caller, Scope};
use crate::problem::Problem;

impl Ops {
    /// Sends events: one answer for each, in order.
    pub(crate) async fn send(
        &self,
        caller: &Caller,
        events: Vec<OutgoingEvent>,
    ) -> Result<Vec<Result<SendReceipt, WebhookError>>, Problem> {
        caller.needs(Scope::EventsSend)?;
        Ok(self.system.send_batch(events).await?)
    }

    /// Whether the caller may send to this endpoint by name.
    pub(crate) async fn may_send_to(
        &self,
        caller: &Caller,
        endpoint_id: &str,
    ) -> Result<(), Problem> {
        match caller.tenant {
            None => Ok(()),
            Some(_) => self.seen_endpoint(caller, endpoint_id).await.map(drop),
        }
    }

    /// Events, newest first. A tenant has those that were sent for it, with its own deliveries alone in
    /// their tallies.
    pub(crate) async fn events(
        &self,
        caller: &Caller,
        mut query: EventQuery,
    ) -> Result<Page<EventRecord, EventId>, Problem> {
        caller.needs(Scope::EventsRead)?;
        if let Some(tenant) = &caller.tenant {
            // What was sent for others is not theirs, whoever they ask for.
            let is_own = query.tenant.as_ref().is_none_or(|asked| asked == tenant);
            if !is_own {
                query.ids = Some(Vec::new());
            }
            query.tenant = Some(tenant.clone());
        }
        let mut page = self.system.events(&query).await?;
        if caller.tenant.is_some() {
            for record in &mut page.items {
                record.deliveries = self.tally(caller, record.event.id).await?;
            }
        }
        Ok(page)
    }

    /// One event, without its payload.
    pub(crate) async fn event(
        &self,
        caller: &Caller,
        event_id: &str,
    ) -> Result<EventRecord, Problem> {
        caller.needs(Scope::EventsRead)?;
        self.seen_event(caller, event_id).await
    }

    /// The envelope of an event, as every request carries it.
    pub(crate) async fn payload(
        &self,
        caller: &Caller,
        event_id: &str,
    ) -> Result<EventRecord, Problem> {
        caller.needs(Scope::PayloadsRead)?;
        let record = self.seen_event(caller, event_id).await?;
        match record.payload_erased {
            true => Err(WebhookError::PayloadErased(event_id.into()).into()),
            false => Ok(record),
        }
    }

    /// Drops the payload of an event; how many deliveries that changed.
    pub(crate) async fn erase_payload(
        &self,
        caller: &Caller,
        event_id: &str,
    ) -> Result<usize, Problem> {
        caller.needs(Scope::DeliveriesPurge)?;
        let record = self.seen_event(caller, event_id).await?;
        self.note(caller, Action::PayloadErase, event_id, Vec::new())
            .await?;
        let query = DeliveryQuery::of_event(record.event.id);
        Ok(self.system.erase_payloads(&query).await?)
    }

    /// Makes a delivery of an event to an endpoint that has none of it.
    pub(crate) async fn deliver_event(
        &self,
        caller: &Caller,
        event_id: &str,
        endpoint_id: &str,
    ) -> Result<DeliveryRecord, Problem> {
        caller.needs(Scope::DeliveriesWrite)?;
        self.seen_event(caller, event_id).await?;
        self.seen_endpoint(caller, endpoint_id).await?;
        let resource = format!("{event_id} {endpoint_id}");
        self.note(caller, Action::EventDeliver, &resource, Vec::new())
            .await?;
        let id = self.system.deliver_event(event_id, endpoint_id).await?;
        Ok(self.system.delivery(&id.to_string()).await?)
    }

    /// The event with this id, if the caller may see it: one that was sent for their tenant, or has a
    /// delivery to an endpoint of it.
    async fn seen_event(&self, caller: &Caller, event_id: &str) -> Result<EventRecord, Problem> {
        let mut record = self.system.event(event_id).await?;
        if caller.tenant.is_some() {
            record.deliveries = self.tally(caller, record.event.id).await?;
            let is_theirs = record.event.tenant == caller.tenant;
            if !is_theirs && record.deliveries == StateCounts::default() {
                return Err(WebhookError::EventNotFound(event_id.into()).into());
            }
        }
        Ok(record)
    }

    /// The deliveries of an event that the caller may see, by state; of the newest thousand.
    async fn tally(&self, caller: &Caller, event_id: EventId) -> Result<StateCounts, Problem> {
        let mut query = DeliveryQuery {
            limit: MAX_PAGE,
            ..DeliveryQuery::of_event(event_id)
        };
        self.narrow(caller, &mut query).await?;
        let mut counts = StateCounts::default();
        for record in self.system.deliveries(&query).await?.items {
            counts.add(record.state, 1);
        }
        Ok(counts)
    }
}
