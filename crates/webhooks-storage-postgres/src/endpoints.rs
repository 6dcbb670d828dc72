//! Definitions of endpoints, as they are given. Every change takes the lock of the revision first,
//! so that changes commit in the order of their numbers, and who asks for later ones misses none.

use std::collections::{BTreeMap, HashMap};

use tokio_postgres::Row;
use tokio_postgres::types::{Json, ToSql};
use webhooks_core::storage::spi::EndpointChanges;
use webhooks_core::storage::{Deleted, EndpointRecord, Expected, GateState, Saved};
use webhooks_core::{
    BatchConfig, ContentFilter, PreviousSecret, RateLimitConfig, Result, Timestamp, WebhookEndpoint,
};

use crate::change::with_cancelled;
use crate::columns::{get, get_time, get_u32, get_u64, int, long, named, time, unknown};
use crate::database::Database;
use crate::definition_change::DefinitionChange;

const SAVE: &str = include_str!("sql/save_endpoint.sql");
const SAVE_SECRETS: &str = include_str!("sql/save_secrets.sql");
const RECORD: &str = "SELECT * FROM @.webhook_endpoints WHERE id = $1 AND deleted_at IS NULL";
const SINCE: &str = include_str!("sql/endpoints_since.sql");
/// Neither the revision nor `updated_at` moves: the definition is what it was. What somebody saved
/// since it was read is left alone.
const REWRITE: &str = "UPDATE @.webhook_endpoints \
    SET secret = $2::text, headers = $3::jsonb, previous_secrets = $4::jsonb \
    WHERE id = $1::text AND deleted_at IS NULL \
    AND secret = $5::text AND headers = $6::jsonb AND previous_secrets = $7::jsonb";
const TOMBSTONE: &str = include_str!("sql/tombstone.sql");
const CANCEL: &str = include_str!("sql/cancel_waiting.sql");
const NOW: &str = "SELECT date_trunc('milliseconds', clock_timestamp()) AS now";
/// Nothing waits for an earlier incarnation any more: none can be stored.
pub(crate) const NONE_REPLACED: &str = "UPDATE @.webhook_endpoints SET is_replaced = false \
    WHERE id = $1 AND is_replaced";
/// Deliveries that one statement cancels at most.
const CANCEL_AT_ONCE: i64 = 2_000;

impl Database {
    pub(crate) async fn save_definition(
        &self,
        endpoint: &WebhookEndpoint,
        expected: Expected,
    ) -> Result<Saved> {
        let save = || self.save_definition_once(endpoint, expected);
        let (saved, replaces) = self.repeat(save).await?;
        if replaces {
            self.cancel_replaced(&endpoint.id).await?;
        }
        Ok(saved)
    }

    /// With whether an earlier incarnation ends.
    async fn save_definition_once(
        &self,
        endpoint: &WebhookEndpoint,
        expected: Expected,
    ) -> Result<(Saved, bool)> {
        let e = endpoint;
        let rps = e.rate_limit.map(|r| int(r.requests_per_second));
        let burst = e.rate_limit.map(|r| int(r.burst_size));
        let signature = e.signature.as_str();
        let mut connection = self.connection().await?;
        let change = DefinitionChange::begin(self, &mut connection, &e.id).await?;
        let live = change.found.as_ref().filter(|found| found.is_live);
        if !expected.is_met_by(live.map(|found| found.definition_revision)) {
            return Ok((Saved::Conflict, false));
        }
        let begins = live.is_none_or(|found| found.tenant != e.tenant);
        let replaces = begins && change.found.is_some();
        if replaces {
            change.lock(&e.id).await?;
        }
        let params: &[&(dyn ToSql + Sync)] = &[
            &e.id,
            &e.url,
            &e.secret,
            &Json(&e.events),
            &e.enabled,
            &rps,
            &burst,
            &Json(&e.headers),
            &long(e.timeout_seconds),
            &e.tenant,
            &e.batch.map(Json),
            &signature,
            &Json(&e.previous_secrets),
            &e.content_type,
            &e.user_agent,
            &Json(&e.accepted_statuses),
            &e.ordering.as_str(),
            &e.on_dead.as_str(),
            &e.description,
            &Json(&e.metadata),
            &e.filter.as_ref().map(Json),
            &begins,
        ];
        Ok((change.save(SAVE, params).await?, replaces))
    }

    pub(crate) async fn save_secrets(
        &self,
        endpoint: &WebhookEndpoint,
        expected: u64,
    ) -> Result<Saved> {
        self.repeat(|| self.save_secrets_once(endpoint, expected))
            .await
    }

    async fn save_secrets_once(&self, endpoint: &WebhookEndpoint, expected: u64) -> Result<Saved> {
        let e = endpoint;
        let mut connection = self.connection().await?;
        let change = DefinitionChange::begin(self, &mut connection, &e.id).await?;
        let live = change.found.as_ref().filter(|found| found.is_live);
        if live.map(|found| found.definition_revision) != Some(expected) {
            return Ok(Saved::Conflict);
        }
        let params: &[&(dyn ToSql + Sync)] = &[&e.id, &e.secret, &Json(&e.previous_secrets)];
        change.save(SAVE_SECRETS, params).await
    }

    pub(crate) async fn rewrite_credentials(
        &self,
        stored: &WebhookEndpoint,
        rewritten: &WebhookEndpoint,
    ) -> Result<bool> {
        let parameters: [&(dyn ToSql + Sync); 7] = [
            &stored.id,
            &rewritten.secret,
            &Json(&rewritten.headers),
            &Json(&rewritten.previous_secrets),
            &stored.secret,
            &Json(&stored.headers),
            &Json(&stored.previous_secrets),
        ];
        let changed = self.execute("rewrite an endpoint", REWRITE, &parameters);
        Ok(changed.await? > 0)
    }

    /// Cancels what waits for earlier incarnations. What is left by a failure a sweep cancels.
    async fn cancel_replaced(&self, id: &str) -> Result<()> {
        const WHAT: &str = "save an endpoint";
        let rows = self.query(WHAT, NOW, &[]).await?;
        let now = rows.first().ok_or_else(|| unknown("now"))?;
        let now = get_time(now, "now")?;
        while self.cancel_of_deleted(id, CANCEL_AT_ONCE, now).await? == CANCEL_AT_ONCE {}
        self.execute(WHAT, NONE_REPLACED, &[&id]).await.map(drop)
    }

    pub(crate) async fn endpoint_record(&self, id: &str) -> Result<Option<EndpointRecord>> {
        let rows = self.query("read an endpoint", RECORD, &[&id]).await?;
        rows.first().map(record).transpose()
    }

    pub(crate) async fn delete_endpoint(
        &self,
        id: &str,
        expected: Expected,
        now: Timestamp,
    ) -> Result<Deleted> {
        let bury = || self.bury_endpoint(id, expected, now);
        let deleted = self.repeat(bury).await?;
        if deleted == Deleted::Deleted {
            while self.cancel_of_deleted(id, CANCEL_AT_ONCE, now).await? == CANCEL_AT_ONCE {}
        }
        Ok(deleted)
    }

    /// Leaves the tombstone, from which on nothing new is stored and nothing is claimed.
    async fn bury_endpoint(&self, id: &str, expected: Expected, now: Timestamp) -> Result<Deleted> {
        let mut connection = self.connection().await?;
        let change = DefinitionChange::begin(self, &mut connection, id).await?;
        let live = change.found.as_ref().filter(|found| found.is_live);
        let Some(live) = live else {
            return Ok(Deleted::Absent);
        };
        if !expected.is_met_by(Some(live.definition_revision)) {
            return Ok(Deleted::Conflict);
        }
        change.lock(id).await?;
        match change.save(TOMBSTONE, &[&id, &time(now)]).await? {
            Saved::Stored(_) => Ok(Deleted::Deleted),
            Saved::Conflict => Ok(Deleted::Absent),
        }
    }

    /// Cancels what waits for a deleted endpoint; how many of at most `limit`.
    pub(crate) async fn cancel_of_deleted(
        &self,
        id: &str,
        limit: i64,
        now: Timestamp,
    ) -> Result<i64> {
        let sql = with_cancelled(CANCEL, "$3");
        let parameters: [&(dyn ToSql + Sync); 3] = [&id, &limit, &time(now)];
        let rows = self.query_at("cancel deliveries", &sql, &parameters, now);
        let rows = rows.await?;
        rows.first().map_or(Ok(0), |row| get(row, "cancelled"))
    }

    pub(crate) async fn endpoints_since(
        &self,
        revision: u64,
        limit: usize,
    ) -> Result<EndpointChanges> {
        let asked = long(revision);
        let rows = self
            .query("read changed endpoints", SINCE, &[&asked, &long(limit)])
            .await?;
        let newest = rows
            .first()
            .map_or(Ok(revision), |row| get_u64(row, "newest"))?;
        let mut records = Vec::new();
        for row in &rows {
            if get::<Option<&str>>(row, "id")?.is_some() {
                records.push(record(row)?);
            }
        }
        let more = records.len() > limit;
        records.truncate(limit);
        let last = records.last().map_or(revision, |r| r.revision);
        Ok(EndpointChanges {
            records,
            revision: if more { last } else { newest.max(revision) },
            more,
        })
    }
}

fn record(row: &Row) -> Result<EndpointRecord> {
    let by = get::<Option<&str>>(row, "disabled_by")?;
    let time = |column| {
        let at = get::<Option<std::time::SystemTime>>(row, column)?;
        at.map(|_| get_time(row, column)).transpose()
    };
    let max_leased = get::<Option<i32>>(row, "max_leased")?;
    let mut gate = GateState::default();
    gate.paused = get(row, "paused")?;
    gate.disabled = by.map(|name| named("disabled_by", name)).transpose()?;
    gate.held_until = time("held_until")?;
    gate.max_leased = max_leased.map(|n| u32::try_from(n).unwrap_or(0));
    gate.failing_since = time("failing_since")?;
    gate.epoch = get_u64(row, "gate_epoch")?;
    let mut record = EndpointRecord::new(endpoint(row)?, gate);
    record.revision = get_u64(row, "revision")?;
    record.definition_revision = get_u64(row, "definition_revision")?;
    record.created_at = get_time(row, "created_at")?;
    record.updated_at = get_time(row, "updated_at")?;
    record.incarnation = get_u64(row, "incarnation")?;
    record.deleted = time("deleted_at")?.is_some();
    Ok(record)
}

fn endpoint(row: &Row) -> Result<WebhookEndpoint> {
    let rate_limit = match get::<Option<i32>>(row, "rate_limit_rps")? {
        None => None,
        Some(_) => Some(RateLimitConfig {
            requests_per_second: get_u32(row, "rate_limit_rps")?,
            burst_size: get_u32(row, "rate_limit_burst")?,
        }),
    };
    let batch = get::<Option<Json<BatchConfig>>>(row, "batch")?;
    let filter = get::<Option<Json<ContentFilter>>>(row, "filter")?;
    Ok(WebhookEndpoint {
        id: get(row, "id")?,
        url: get(row, "url")?,
        secret: get(row, "secret")?,
        events: get::<Json<Vec<String>>>(row, "events")?.0,
        filter: filter.map(|json| json.0),
        enabled: get(row, "enabled")?,
        rate_limit,
        headers: get::<Json<HashMap<String, String>>>(row, "headers")?.0,
        timeout_seconds: get_u64(row, "timeout_seconds")?,
        tenant: get(row, "tenant")?,
        batch: batch.map(|json| json.0),
        signature: named("signature", get(row, "signature")?)?,
        previous_secrets: get::<Json<Vec<PreviousSecret>>>(row, "previous_secrets")?.0,
        content_type: get(row, "content_type")?,
        user_agent: get(row, "user_agent")?,
        accepted_statuses: get::<Json<Vec<u16>>>(row, "accepted_statuses")?.0,
        ordering: named("ordering", get(row, "ordering")?)?,
        on_dead: named("on_dead", get(row, "on_dead")?)?,
        description: get(row, "description")?,
        metadata: get::<Json<BTreeMap<String, String>>>(row, "metadata")?.0,
    })
}
