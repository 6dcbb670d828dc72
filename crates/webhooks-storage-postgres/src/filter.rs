use tokio_postgres::types::ToSql;
use webhooks_core::DeliveryState;
use webhooks_core::storage::DeliveryQuery;

use crate::columns::time;

/// Which of the two tables that hold deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    /// What waits, is leased or dead.
    Queue,
    /// What was delivered or cancelled.
    Archive,
}

impl Table {
    /// Its name in the database.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Queue => "webhook_queue",
            Self::Archive => "webhook_archive",
        }
    }
}

/// The conditions of a query, of only the fields that are set, so that each shape has its own plan.
pub(crate) struct Filter {
    conditions: Vec<String>,
    pub(crate) parameters: Vec<Box<dyn ToSql + Sync + Send>>,
    states: Vec<DeliveryState>,
    /// What the rows are ordered by: their ids, in the form that an index has them in.
    pub(crate) order: &'static str,
}

impl Filter {
    pub(crate) fn new(query: &DeliveryQuery) -> Self {
        let mut filter = Self {
            conditions: Vec::new(),
            parameters: Vec::new(),
            states: query.states.clone(),
            order: match &query.tenant {
                Some(_) => "uuid_send(q.id)",
                None => "q.id",
            },
        };
        filter.add("q.id = ", query.id.map(|id| id.as_uuid()));
        if let Some(before) = query.before {
            let (order, n) = (filter.order, filter.parameter(before.as_uuid()));
            let before = order.replace("q.id", &format!("{n}::uuid"));
            filter.conditions.push(format!("{order} < {before}"));
        }
        filter.add("q.event_id = ", query.event_id.map(|id| id.as_uuid()));
        filter.add(
            "q.endpoint_id = ",
            query.endpoint_id.as_deref().map(String::from),
        );
        filter.add(
            "q.event_type = ",
            query.event_type.as_deref().map(String::from),
        );
        filter.add("q.tenant = ", query.tenant.as_deref().map(String::from));
        filter.add("q.created_at >= ", query.from.map(time));
        filter.add("q.created_at < ", query.to.map(time));
        filter.add("q.updated_at < ", query.updated_before.map(time));
        filter
    }

    fn add<T: ToSql + Sync + Send + 'static>(&mut self, condition: &str, value: Option<T>) {
        if let Some(value) = value {
            let n = self.parameter(value);
            self.conditions.push(format!("{condition}{n}"));
        }
    }

    /// Takes one more parameter; how the statement calls it.
    pub(crate) fn parameter<T: ToSql + Sync + Send + 'static>(&mut self, value: T) -> String {
        self.parameters.push(Box::new(value));
        format!("${}", self.parameters.len())
    }

    /// The parameters as the client takes them.
    pub(crate) fn parameters(&self) -> Vec<&(dyn ToSql + Sync)> {
        self.parameters
            .iter()
            .map(|p| -> &(dyn ToSql + Sync) { &**p })
            .collect()
    }

    /// The conditions for one table, if any row of it may match.
    pub(crate) fn of(&self, table: Table) -> Option<String> {
        let mut all = self.conditions.clone();
        if !self.states.is_empty() {
            let states = self
                .states
                .iter()
                .filter_map(|state| condition(*state, table));
            let states: Vec<_> = states.collect();
            if states.is_empty() {
                return None;
            }
            all.push(format!("({})", states.join(" OR ")));
        }
        if all.is_empty() {
            all.push("true".into());
        }
        Some(all.join(" AND "))
    }
}

const fn condition(state: DeliveryState, table: Table) -> Option<&'static str> {
    match (table, state) {
        (Table::Queue, DeliveryState::Ready) => Some("q.status = 'pending' AND q.is_ready"),
        (Table::Queue, DeliveryState::Scheduled) => Some("q.status = 'pending' AND NOT q.is_ready"),
        (Table::Queue, DeliveryState::Leased) => Some("q.status = 'processing'"),
        (Table::Queue, DeliveryState::Dead) => Some("q.status = 'dead'"),
        (Table::Archive, DeliveryState::Delivered) => Some("q.status = 'delivered'"),
        (Table::Archive, DeliveryState::Cancelled) => Some("q.status = 'cancelled'"),
        _ => None,
    }
}
