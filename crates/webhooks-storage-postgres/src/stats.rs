//! Numbers over time, in two resolutions.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio_postgres::types::ToSql;
use webhooks_core::storage::spi::StatDelta;
use webhooks_core::storage::{StatBucket, StatNumbers, StatQuery, StatResolution};
use webhooks_core::{Result, Timestamp};

use crate::columns::{get, get_time, long, time};
use crate::database::Database;

const ADD: &str = include_str!("sql/add_stats.sql");

/// The length of a bucket as it is stored.
pub(crate) fn seconds(resolution: StatResolution) -> i32 {
    i32::try_from(resolution.length().as_secs()).unwrap_or(i32::MAX)
}

impl Database {
    pub(crate) async fn add_stats(&self, deltas: &[StatDelta]) -> Result<()> {
        // By key, so that two calls write their rows in one order.
        let mut buckets: BTreeMap<(i32, Timestamp, &Arc<str>), StatNumbers> = BTreeMap::new();
        for delta in deltas {
            for of in [StatResolution::Minute, StatResolution::Hour] {
                let key = (seconds(of), of.begin(delta.at), &delta.endpoint_id);
                buckets.entry(key).or_default().add(&delta.numbers);
            }
        }
        if buckets.is_empty() {
            return Ok(());
        }
        let width = long(StatNumbers::default().to_list().len());
        let (mut of, mut at, mut ids, mut all) = (vec![], vec![], vec![], vec![]);
        for ((seconds, begin, id), numbers) in &buckets {
            of.push(*seconds);
            at.push(time(*begin));
            ids.push(&***id);
            all.extend(numbers.to_list().into_iter().map(long));
        }
        let parameters: [&(dyn ToSql + Sync); 5] = [&of, &at, &ids, &all, &width];
        self.execute("add numbers", ADD, &parameters)
            .await
            .map(drop)
    }

    pub(crate) async fn stats(&self, query: &StatQuery) -> Result<Vec<StatBucket>> {
        query.validate()?;
        let ids: Option<Vec<&str>> =
            (query.endpoint_ids.as_ref()).map(|ids| ids.iter().map(|id| &**id).collect());
        let of = seconds(query.resolution);
        let (from, to) = (time(query.from), time(query.to));
        let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&of, &from, &to];
        let mut which = "";
        if let Some(ids) = &ids {
            parameters.push(ids);
            which = "AND endpoint_id = ANY ($4::text[])";
        }
        let per = match query.per_endpoint {
            true => "endpoint_id",
            false => "NULL::text",
        };
        let sql = format!(
            "SELECT at, id, array_agg(total ORDER BY place) AS numbers FROM ( \
                SELECT at, {per} AS id, place, sum(number)::bigint AS total \
                FROM @.webhook_stats CROSS JOIN unnest(numbers) WITH ORDINALITY AS n (number, place) \
                WHERE seconds = $1::integer AND at >= $2::timestamptz AND at < $3::timestamptz {which} \
                GROUP BY 1, 2, 3) each \
             GROUP BY 1, 2 ORDER BY at, id COLLATE \"C\""
        );
        let rows = self.query("read numbers", &sql, &parameters).await?;
        let buckets = rows.iter().map(|row| {
            let numbers: Vec<i64> = get(row, "numbers")?;
            let numbers = numbers.into_iter().map(|n| u64::try_from(n).unwrap_or(0));
            Ok(StatBucket::new(
                get_time(row, "at")?,
                get::<Option<&str>>(row, "id")?.map(Into::into),
                StatNumbers::from_list(&numbers.collect::<Vec<_>>()),
            ))
        });
        buckets.collect()
    }
}
