use tokio_postgres::types::ToSql;
use uuid::Uuid;
use webhooks_core::storage::{DeliveryQuery, StatusFilter};
use webhooks_core::{DeliveryState, EventFilter, EventId};

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
/// `q` is the delivery and `e` its event.
pub(crate) struct Filter {
    conditions: Vec<String>,
    pub(crate) parameters: Vec<Box<dyn ToSql + Sync + Send>>,
    states: Vec<DeliveryState>,
    is_of_dead: bool,
    /// Where the deliveries of the event are, if it is one: each is a way to find some of them.
    places: Vec<String>,
    /// What the rows are ordered by: their ids, in the form that an index has them in.
    pub(crate) order: &'static str,
}

impl Filter {
    pub(crate) fn new(query: &DeliveryQuery) -> Self {
        let mut filter = Self {
            conditions: Vec::new(),
            parameters: Vec::new(),
            states: query.states.clone(),
            is_of_dead: !query.dead_reasons.is_empty(),
            places: Vec::new(),
            order: match &query.tenant {
                Some(_) => "uuid_send(q.id)",
                None => "q.id",
            },
        };
        let ids = query.ids.as_ref();
        filter.add_list("q.id", ids.map(|ids| ids.iter().map(|id| id.as_uuid())));
        if let Some(before) = query.before {
            let (order, n) = (filter.order, filter.parameter(before.as_uuid()));
            let before = order.replace("q.id", &format!("{n}::uuid"));
            filter.conditions.push(format!("{order} < {before}"));
        }
        filter.add_event(query.event_id);
        let ids = query.endpoint_ids.as_ref();
        filter.add_list(
            "q.endpoint_id",
            ids.map(|ids| ids.iter().map(|id| id.to_string())),
        );
        filter.add_type(query.event_type.as_ref());
        filter.add("q.tenant = ", query.tenant.as_deref().map(String::from));
        filter.add("e.created_at >= ", query.from.map(time));
        filter.add("e.created_at < ", query.to.map(time));
        filter.add("q.updated_at >= ", query.updated_from.map(time));
        filter.add("q.updated_at < ", query.updated_before.map(time));
        filter.add_names("q.dead_reason", &query.dead_reasons, |of| of.as_str());
        filter.add_names("q.last_failure", &query.last_failures, |of| of.as_str());
        filter.add_status(query.last_status);
        filter
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

    /// One of these values; one alone by an index that goes on in the order of the listing.
    fn add_list<T>(&mut self, column: &str, values: Option<impl Iterator<Item = T>>)
    where
        T: ToSql + Sync + Send + 'static,
    {
        let Some(values) = values else {
            return;
        };
        let mut values: Vec<T> = values.collect();
        match (values.len(), values.pop()) {
            (1, one) => self.add(&format!("{column} = "), one),
            (_, last) => {
                values.extend(last);
                let n = self.parameter(values);
                self.conditions.push(format!("{column} = ANY ({n})"));
            }
        }
    }

    fn add_names<T: Copy>(&mut self, column: &str, values: &[T], name: fn(T) -> &'static str) {
        if !values.is_empty() {
            let names: Vec<_> = values.iter().map(|value| name(*value)).collect();
            let n = self.parameter(names);
            self.conditions
                .push(format!("{column} = ANY ({n}::text[])"));
        }
    }

    fn add_event(&mut self, id: Option<EventId>) {
        let Some(id) = id.map(|id| id.as_uuid()) else {
            return;
        };
        self.add("q.event_id = ", Some(id));
        let (from, to) = same_millisecond(id);
        let (from, to) = (self.parameter(from), self.parameter(to));
        self.places = vec![
            format!("NOT q.is_apart AND q.id BETWEEN {from}::uuid AND {to}::uuid"),
            "q.is_apart".into(),
        ];
    }

    fn add_type(&mut self, filter: Option<&EventFilter>) {
        let Some(filter) = filter else {
            return;
        };
        match (filter.exact(), filter.prefix()) {
            (Some(exact), _) => self.add("e.event_type = ", Some(exact.to_owned())),
            (None, Some(prefix)) if !prefix.is_empty() => {
                let n = self.parameter(prefix);
                let condition = format!("starts_with(e.event_type, {n}::text)");
                self.conditions.push(condition);
            }
            (None, _) => {}
        }
    }

    fn add_status(&mut self, of: Option<StatusFilter>) {
        match of {
            None => {}
            Some(StatusFilter::Exact(status)) => {
                self.add(
                    "q.last_status = ",
                    Some(i16::try_from(status).unwrap_or(-1)),
                );
            }
            Some(StatusFilter::Class(class)) => {
                self.add("q.last_status / 100 = ", Some(i32::from(class)));
            }
            Some(StatusFilter::NoResponse) => {
                let none = "q.last_status IS NULL AND q.last_failure IS NOT NULL";
                self.conditions.push(none.into());
            }
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
        if self.is_of_dead {
            if table == Table::Archive {
                return None;
            }
            all.push("q.status = 'dead'".into());
        }
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
        let all = all.join(" AND ");
        // A delivery in the queue has these itself.
        Some(match table {
            Table::Queue => all
                .replace("e.created_at", "q.created_at")
                .replace("e.event", "q.event"),
            Table::Archive => all,
        })
    }

    /// Where those of an event are, as one condition behind the others.
    pub(crate) fn everywhere(&self) -> String {
        match self.places.is_empty() {
            true => String::new(),
            false => format!(" AND ({})", self.places.join(" OR ")),
        }
    }

    /// The same for one table, by each way to find rows of it. Together these find every row once.
    pub(crate) fn ways(&self, table: Table) -> Vec<String> {
        let Some(conditions) = self.of(table) else {
            return Vec::new();
        };
        if self.places.is_empty() {
            return vec![conditions];
        }
        let ways = self.places.iter();
        ways.map(|place| format!("{conditions} AND {place}"))
            .collect()
    }
}

/// The ids that begin with the millisecond of this one.
pub(crate) fn same_millisecond(id: Uuid) -> (Uuid, Uuid) {
    let rest = (1_u128 << 80) - 1;
    let id = id.as_u128();
    (Uuid::from_u128(id & !rest), Uuid::from_u128(id | rest))
}

const fn condition(state: DeliveryState, table: Table) -> Option<&'static str> {
    match (table, state) {
        (Table::Queue, DeliveryState::Blocked) => Some("q.status = 'blocked' AND q.in_line"),
        (Table::Queue, DeliveryState::Ready) => Some("q.status = 'pending' AND q.is_ready"),
        (Table::Queue, DeliveryState::Scheduled) => Some("q.status = 'pending' AND NOT q.is_ready"),
        (Table::Queue, DeliveryState::Leased) => Some("q.status = 'processing'"),
        (Table::Queue, DeliveryState::Dead) => Some("q.status = 'dead'"),
        (Table::Archive, DeliveryState::Delivered) => Some("q.status = 'delivered'"),
        (Table::Archive, DeliveryState::Cancelled) => Some("q.status = 'cancelled'"),
        _ => None,
    }
}
