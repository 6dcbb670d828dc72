//! Counting what matches, in the database, no further than is asked for.

use std::collections::HashMap;

use tokio_postgres::Row;
use webhooks_core::storage::{DeliveryQuery, GroupBy, GroupKey, Groups};
use webhooks_core::{EventType, Result};

use crate::columns::{get, get_u64, long, named};
use crate::database::Database;
use crate::filter::{Filter, Table};

impl Database {
    pub(crate) async fn count_by(
        &self,
        query: &DeliveryQuery,
        by: &[GroupBy],
        at_most: u64,
    ) -> Result<Groups> {
        let query = DeliveryQuery {
            before: None,
            ..query.clone()
        };
        let mut filter = Filter::new(&query);
        let most = filter.parameter(long(at_most));
        let mut branches = Vec::new();
        for table in [Table::Queue, Table::Archive] {
            let columns = columns(table, by);
            branches.extend(filter.ways(table).iter().map(|way| {
                format!(
                    "(SELECT q.id{columns} FROM @.{} q JOIN @.webhook_events e ON e.id = q.event_id \
                     WHERE {way} ORDER BY {} DESC LIMIT {most}::bigint)",
                    table.name(),
                    filter.order
                )
            }));
        }
        if branches.is_empty() {
            return Ok(Groups::new(HashMap::new(), at_most == 0));
        }
        let names: String = by.iter().map(|by| format!("{}, ", by.as_str())).collect();
        let places: Vec<_> = (1..=by.len()).map(|n| n.to_string()).collect();
        let group = match by.is_empty() {
            true => String::new(),
            false => format!("GROUP BY {}", places.join(", ")),
        };
        let sql = format!(
            "SELECT {names}count(*) AS count FROM (SELECT * FROM ({}) q ORDER BY id DESC \
             LIMIT {most}::bigint) q {group}",
            branches.join(" UNION ALL ")
        );
        let parameters = filter.parameters();
        let rows = self.query("count deliveries", &sql, &parameters);
        let mut groups = HashMap::new();
        for row in &rows.await? {
            let count = get_u64(row, "count")?;
            if count > 0 {
                groups.insert(key(row, by)?, count);
            }
        }
        let counted: u64 = groups.values().sum();
        Ok(Groups::new(groups, counted >= at_most))
    }
}

/// What a group has in common, by the names of [`GroupBy`].
fn columns(table: Table, by: &[GroupBy]) -> String {
    let column = |by: &GroupBy| match (by, table) {
        (GroupBy::EndpointId, _) => Some("q.endpoint_id"),
        (GroupBy::DeadReason, Table::Queue) => Some("q.dead_reason"),
        (GroupBy::DeadReason, Table::Archive) => Some("NULL::text"),
        (GroupBy::LastFailure, _) => Some("q.last_failure"),
        (GroupBy::EventType, _) => Some("e.event_type"),
        _ => None,
    };
    let columns = by.iter().map(|by| {
        let column = column(by).unwrap_or("NULL::text");
        format!(", {column} AS {}", by.as_str())
    });
    columns.collect()
}

fn key(row: &Row, by: &[GroupBy]) -> Result<GroupKey> {
    let mut key = GroupKey::default();
    for by in by {
        let Some(value) = get::<Option<&str>>(row, by.as_str())? else {
            continue;
        };
        match by {
            GroupBy::EndpointId => key.endpoint_id = Some(value.into()),
            GroupBy::DeadReason => key.dead_reason = Some(named("dead_reason", value)?),
            GroupBy::LastFailure => key.last_failure = Some(named("last_failure", value)?),
            GroupBy::EventType => key.event_type = Some(EventType::new(value)?),
            _ => {}
        }
    }
    Ok(key)
}
