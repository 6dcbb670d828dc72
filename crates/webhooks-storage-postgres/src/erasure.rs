//! Erasing the payloads of whole events, after those of the deliveries that match.

use uuid::Uuid;
use webhooks_core::storage::DeliveryQuery;
use webhooks_core::{Result, Timestamp};

use crate::change::with_cancelled;
use crate::columns::{get, time};
use crate::database::{Database, now_is};
use crate::error::{commit_error, storage_error};
use crate::event_filter::EventFilters;

/// Events of which none has a delivery with something to send, nor more to come.
const EMPTY: &str = include_str!("sql/erase_empty_events.sql");
const ERASE: &str = "UPDATE @.webhook_events SET payload = NULL, payload_bytes = 0 \
    WHERE id = ANY ($1::uuid[]) AND payload IS NOT NULL";
const OF_EVENTS: &str = include_str!("sql/erase_of_events.sql");
const OF_EVENTS_ARCHIVE: &str = "UPDATE @.webhook_archive SET is_erased = true \
    WHERE id = ANY ($1::uuid[]) AND NOT is_erased";
const WHAT: &str = "erase events";
/// Events that one transaction erases at most.
const MOST: i64 = 500;

impl Database {
    /// Empties the events of these deliveries whose other deliveries are empty too.
    pub(crate) async fn erase_empty_events(&self, of: &[Uuid]) -> Result<()> {
        self.execute(WHAT, EMPTY, &[&of]).await.map(drop)
    }

    /// Empties the events that match a query of whole events, and what is left of their deliveries.
    pub(crate) async fn erase_events(&self, query: &DeliveryQuery, now: Timestamp) -> Result<()> {
        if !query.is_of_events() {
            return Ok(());
        }
        let mut before = None;
        loop {
            let mut filter = EventFilters::of_deliveries(query);
            filter.add("e.id < ", before);
            let most = filter.parameter(MOST);
            let pick = format!(
                "SELECT e.id FROM @.webhook_events e WHERE {} AND e.payload IS NOT NULL \
                 ORDER BY e.id DESC LIMIT {most}::bigint",
                filter.conditions()
            );
            let rows = self.query(WHAT, &pick, &filter.parameters()).await?;
            let ids: Vec<Uuid> = rows
                .iter()
                .map(|row| get(row, "id"))
                .collect::<Result<_>>()?;
            before = ids.last().copied();
            if before.is_none() {
                return Ok(());
            }
            self.repeat(|| self.erase_these(&ids, now)).await?;
        }
    }

    /// The events first, so that a delivery that is made meanwhile waits for this, or is seen.
    async fn erase_these(&self, ids: &[Uuid], now: Timestamp) -> Result<()> {
        let mut connection = self.connection().await?;
        let error = |error| storage_error(WHAT, &error);
        let on = self.begin(&mut connection, WHAT).await?;
        on.batch_execute(&now_is(now)).await.map_err(error)?;
        let deliveries = include_str!("sql/deliveries_of_events.sql");
        let erase = on.prepare_cached(&self.sql(ERASE)).await.map_err(error)?;
        on.execute(&erase, &[&ids]).await.map_err(error)?;
        let find = on
            .prepare_cached(&self.sql(deliveries))
            .await
            .map_err(error)?;
        let found = on.query(&find, &[&ids]).await.map_err(error)?;
        let found: Vec<Uuid> = found
            .iter()
            .map(|row| get(row, "id"))
            .collect::<Result<_>>()?;
        if !found.is_empty() {
            let sql = self.sql(&with_cancelled(OF_EVENTS, "$2"));
            let queue = on.prepare_cached(&sql).await.map_err(error)?;
            on.execute(&queue, &[&found, &time(now)])
                .await
                .map_err(error)?;
            let sql = self.sql(OF_EVENTS_ARCHIVE);
            let archive = on.prepare_cached(&sql).await.map_err(error)?;
            on.execute(&archive, &[&found]).await.map_err(error)?;
        }
        let committed = on.commit().await;
        committed.map_err(|error| commit_error(WHAT, &error))
    }
}
