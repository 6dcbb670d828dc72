use uuid::Uuid;
use webhooks_core::storage::spi::HeldLease;
use webhooks_core::{DeliveryId, Result, WorkerId};

use crate::columns::{get, get_u64, long};
use crate::database::Database;

impl Database {
    pub(crate) async fn leased_by(
        &self,
        worker: &WorkerId,
        after: Option<DeliveryId>,
        limit: usize,
    ) -> Result<Vec<HeldLease>> {
        // No delivery has the smallest id.
        let after = after.map_or(Uuid::nil(), |id| id.as_uuid());
        let sql = include_str!("sql/leased_by.sql");
        let params = [&worker.as_str() as _, &after as _, &long(limit) as _];
        let rows = self.query("list leases", sql, &params).await?;
        rows.iter()
            .map(|row| {
                Ok(HeldLease {
                    delivery_id: DeliveryId::from_uuid(get(row, "id")?),
                    endpoint_id: get::<&str>(row, "endpoint_id")?.into(),
                    token: get_u64(row, "token")?,
                })
            })
            .collect()
    }
}
