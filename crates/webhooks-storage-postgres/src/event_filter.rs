use tokio_postgres::types::ToSql;
use uuid::Uuid;
use webhooks_core::storage::{DeliveryQuery, EventQuery};
use webhooks_core::{EventFilter, Timestamp};

use crate::columns::time;

/// The conditions of a query on events, of only the fields that are set. `e` is the event.
#[derive(Default)]
pub(crate) struct EventFilters {
    conditions: Vec<String>,
    parameters: Vec<Box<dyn ToSql + Sync + Send>>,
}

impl EventFilters {
    pub(crate) fn new(query: &EventQuery) -> Self {
        let mut filter = Self::default();
        if let Some(ids) = &query.ids {
            let ids: Vec<Uuid> = ids.iter().map(|id| id.as_uuid()).collect();
            let n = filter.parameter(ids);
            filter.conditions.push(format!("e.id = ANY ({n}::uuid[])"));
        }
        filter.add_event(query.event_type.as_ref(), query.tenant.as_deref());
        filter.add_times(query.from, query.to);
        filter
    }

    /// Of a change of whole events, read as for fan-outs: an event was last changed when it was sent.
    pub(crate) fn of_deliveries(query: &DeliveryQuery) -> Self {
        let mut filter = Self::default();
        filter.add("e.id = ", query.event_id.map(|id| id.as_uuid()));
        filter.add_event(query.event_type.as_ref(), query.tenant.as_deref());
        filter.add_times(query.from, query.to);
        filter.add_times(query.updated_from, query.updated_before);
        filter
    }

    fn add_event(&mut self, event_type: Option<&EventFilter>, tenant: Option<&str>) {
        self.add("e.tenant = ", tenant.map(String::from));
        let exact = event_type.and_then(EventFilter::exact);
        self.add("e.event_type = ", exact.map(String::from));
        let prefix = event_type.and_then(EventFilter::prefix);
        if let Some(prefix) = prefix.filter(|prefix| !prefix.is_empty()) {
            let n = self.parameter(prefix);
            let condition = format!("starts_with(e.event_type, {n}::text)");
            self.conditions.push(condition);
        }
    }

    fn add_times(&mut self, from: Option<Timestamp>, to: Option<Timestamp>) {
        self.add("e.created_at >= ", from.map(time));
        self.add("e.created_at < ", to.map(time));
    }

    pub(crate) fn add<T: ToSql + Sync + Send + 'static>(
        &mut self,
        condition: &str,
        value: Option<T>,
    ) {
        if let Some(value) = value {
            let n = self.parameter(value);
            self.conditions.push(format!("{condition}{n}"));
        }
    }

    /// A condition without a parameter of its own.
    pub(crate) fn add_plain(&mut self, condition: String) {
        self.conditions.push(condition);
    }

    /// Takes one more parameter; how the statement calls it.
    pub(crate) fn parameter<T: ToSql + Sync + Send + 'static>(&mut self, value: T) -> String {
        self.parameters.push(Box::new(value));
        format!("${}", self.parameters.len())
    }

    pub(crate) fn conditions(&self) -> String {
        match self.conditions.is_empty() {
            true => "true".into(),
            false => self.conditions.join(" AND "),
        }
    }

    /// The parameters as the client takes them.
    pub(crate) fn parameters(&self) -> Vec<&(dyn ToSql + Sync)> {
        let parameters = self.parameters.iter();
        parameters
            .map(|p| -> &(dyn ToSql + Sync) { &**p })
            .collect()
    }
}
