//! Events.

use better_auth_webhooks::storage::{
    DeliveryQuery, DeliveryRecord, EventQuery, EventRecord, MAX_PAGE, Page, StateCounts,
};
use better_auth_webhooks::{OutgoingEvent, SendReceipt};
use serde_json::value::RawValue;
use webhooks_core::{EventId, WebhookError};

use super::audit::Action;
use super::event_type::Validate;
use super::operations::Ops;
use super::schema::Broken;
use crate::access::{Caller, Scope};
use crate::problem::{FieldError, Problem};

/// An event that is to be sent.
#[derive(Debug)]
pub(crate) struct Sending {
    /// The event without its data.
    pub(crate) event: OutgoingEvent,
    /// Its type.
    pub(crate) event_type: String,
    /// What it tells.
    pub(crate) data: Option<Box<RawValue>>,
}

/// An event that was sent.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) receipt: SendReceipt,
    /// Where its data does not follow the schema of its type, which only warns.
    pub(crate) warnings: Vec<Broken>,
}

impl Ops {
    /// Sends one event.
    pub(crate) async fn send(&self, caller: &Caller, sending: Sending) -> Result<Sent, Problem> {
        caller.needs(Scope::EventsSend)?;
        let (event, warnings) = self.checked(sending).await?;
        let receipt = self.system.send_event(&event).await?;
        Ok(Sent { receipt, warnings })
    }

    /// Sends events: one answer for each, in order.
    pub(crate) async fn send_batch(
        &self,
        caller: &Caller,
        sending: Vec<Sending>,
    ) -> Result<Vec<Result<Sent, Problem>>, Problem> {
        caller.needs(Scope::EventsSend)?;
        let mut events = Vec::with_capacity(sending.len());
        let mut checked = Vec::with_capacity(sending.len());
        for one in sending {
            checked.push(self.checked(one).await.map(|(event, warnings)| {
                events.push(event);
                warnings
            }));
        }
        let count = events.len();
        let mut receipts = self.system.send_batch(events).await?.into_iter();
        let missing = || Err(WebhookError::wrong_number_of_answers(count, 0));
        let sent = checked.into_iter().map(|checked| {
            let warnings = checked?;
            let receipt = receipts.next().unwrap_or_else(missing)?;
            Ok(Sent { receipt, warnings })
        });
        Ok(sent.collect())
    }

    /// An event with its data, which was looked at if its type asks for that.
    async fn checked(&self, sending: Sending) -> Result<(OutgoingEvent, Vec<Broken>), Problem> {
        let broken = self.broken(&sending).await?;
        let event = match sending.data {
            Some(data) => sending.event.raw_data(data),
            None => sending.event,
        };
        Ok((event, broken))
    }

    /// Where the data of an event does not follow the schema of its type, if that only warns.
    async fn broken(&self, sending: &Sending) -> Result<Vec<Broken>, Problem> {
        let known = self.event_types.find(&sending.event_type).await?;
        let Some((known, schema)) = known.as_ref().and_then(|known| {
            let schema = known.schema.as_ref()?;
            Some((&known.entry.definition, schema))
        }) else {
            return Ok(Vec::new());
        };
        if known.validate == Validate::Off {
            return Ok(Vec::new());
        }
        let data = sending.data.as_ref().map_or("null", |data| data.get());
        let data = serde_json::from_str(data).map_err(WebhookError::from)?;
        let broken = schema.broken(&data);
        match known.validate {
            Validate::Reject if !broken.is_empty() => Err(refused(&sending.event_type, broken)),
            _ => Ok(broken),
        }
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

/// The data of an event that its type does not take.
fn refused(event_type: &str, broken: Vec<Broken>) -> Problem {
    let detail = format!("data does not follow the schema of {event_type}");
    let errors = broken.into_iter().map(|broken| FieldError {
        pointer: format!("/data{}", broken.pointer),
        detail: broken.detail,
    });
    Problem::invalid("invalid-data", detail).with_errors(errors.collect())
}
