//! What is stored of endpoints, and in which order they changed. One partition numbers the changes
//! of all; what another could not announce to it is announced with that partition's next change or
//! beat.

use std::collections::HashMap;

use webhooks_core::storage::spi::EndpointChanges;
use webhooks_core::storage::{Deleted, EndpointRecord, Expected};
use webhooks_core::{Result, Timestamp, WebhookEndpoint, WebhookError};

use crate::args::{Args, expected_text};
use crate::gates::gate;
use crate::plain_storage::PlainStorage;
use crate::reply::{Reply, malformed};
use crate::script::Script;

/// The partition that numbers the changes of all endpoints.
pub(crate) const REGISTRY: usize = 0;

impl PlainStorage {
    /// Its revision is that of its definition: the registry alone knows the other one.
    pub(crate) async fn read_record(&self, id: &str) -> Result<Option<EndpointRecord>> {
        let record = self.records(&[(id.to_owned(), 0)]).await?.pop();
        Ok(record.filter(|record| !record.deleted))
    }

    pub(crate) async fn bury_endpoint(
        &self,
        id: &str,
        expected: Expected,
        now: Timestamp,
    ) -> Result<Deleted> {
        let partition = self.connection.keys.partition_of(id);
        let now = now.as_millis().to_string();
        let mut args = Args::default();
        args.text(id)
            .text(&expected_text(expected))
            .number(webhooks_core::unique_number());
        let run = || {
            let script = Script::DeleteEndpoint;
            self.connection.run(partition, script, &now, &args)
        };
        let mut reply = run().await?;
        let rest = async {
            loop {
                let (deleted, more) = (read_deleted(&mut reply)?, reply.flag()?);
                if !more {
                    self.announce_changes(partition).await?;
                    return Ok(deleted);
                }
                reply = run().await?;
            }
        };
        rest.await.map_err(WebhookError::perhaps_done)
    }

    pub(crate) async fn changed_endpoints(
        &self,
        revision: u64,
        limit: usize,
    ) -> Result<EndpointChanges> {
        let (newest, mut changed) = self.changed_ids(revision, limit.saturating_add(1)).await?;
        let more = changed.len() > limit;
        changed.truncate(limit);
        let last = changed.last().map_or(revision, |(_, revision)| *revision);
        Ok(EndpointChanges {
            records: self.records(&changed).await?,
            revision: if more { last } else { newest.max(revision) },
            more,
        })
    }

    /// The newest revision, and the endpoints that changed after one with theirs, at most `limit`.
    pub(crate) async fn changed_ids(
        &self,
        revision: u64,
        limit: usize,
    ) -> Result<(u64, Vec<(String, u64)>)> {
        let mut args = Args::default();
        args.number(revision).number(limit);
        let script = Script::Revisions;
        let mut reply = self.connection.run(REGISTRY, script, "0", &args).await?;
        let newest = reply.number()?;
        let mut changed = Vec::new();
        while !reply.is_over() {
            changed.push((reply.text()?, reply.number()?));
        }
        Ok((newest, changed))
    }

    /// The endpoints with these ids, in their order; one that is gone is a tombstone.
    async fn records(&self, changed: &[(String, u64)]) -> Result<Vec<EndpointRecord>> {
        let ids: Vec<&str> = changed.iter().map(|(id, _)| id.as_str()).collect();
        let fields = self.fields(&ids).await?;
        let records = changed.iter().zip(fields);
        records
            .map(|((id, revision), fields)| record(id, *revision, fields))
            .collect()
    }

    /// What is stored of the endpoints with these ids, in their order: the definition first.
    pub(crate) async fn fields(&self, ids: &[&str]) -> Result<Vec<Reply>> {
        let mut by_partition: HashMap<usize, Vec<(usize, &str)>> = HashMap::new();
        for (index, id) in ids.iter().enumerate() {
            let partition = self.connection.keys.partition_of(id);
            by_partition.entry(partition).or_default().push((index, id));
        }
        let mut found = Vec::with_capacity(ids.len());
        for (partition, asked) in by_partition {
            let mut args = Args::default();
            args.number(asked.len());
            for (_, id) in &asked {
                args.text(id);
            }
            let script = Script::Endpoints;
            let mut reply = self.connection.run(partition, script, "0", &args).await?;
            for (index, _) in asked {
                found.push((index, reply.list()?));
            }
        }
        found.sort_unstable_by_key(|(index, _)| *index);
        Ok(found.into_iter().map(|(_, fields)| fields).collect())
    }

    /// Numbers the changes of a partition's endpoints, those too that somebody else could not
    /// announce before.
    pub(crate) async fn announce_changes(&self, partition: usize) -> Result<()> {
        if partition == REGISTRY {
            return Ok(());
        }
        let none = Args::default();
        let script = Script::Unannounced;
        let changes = self.connection.run(partition, script, "0", &none).await?;
        self.announce(partition, changes).await
    }

    /// Numbers changes: pairs of what changed, with its endpoint, and how often it did.
    pub(crate) async fn announce(&self, partition: usize, mut changes: Reply) -> Result<()> {
        let mut pairs = Vec::new();
        while !changes.is_over() {
            pairs.push((changes.text()?, changes.text()?));
        }
        if pairs.is_empty() {
            return Ok(());
        }
        let mut args = Args::default();
        args.number(pairs.len());
        for (change, times) in &pairs {
            args.text(change).text(times);
        }
        let announce = Script::Announce;
        self.connection.run(REGISTRY, announce, "0", &args).await?;
        let announced = Script::Announced;
        self.connection
            .run(partition, announced, "0", &args)
            .await?;
        Ok(())
    }

    /// Takes tombstones that were dropped off the list of changes, but for those whose endpoint
    /// came back in the meantime.
    pub(crate) async fn forget_endpoints(&self, ids: &[String]) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let mut args = Args::default();
        args.number(ids.len());
        for id in ids {
            args.text(id);
        }
        let script = Script::RevisionsOf;
        let mut reply = self.connection.run(REGISTRY, script, "0", &args).await?;
        let mut revisions = Vec::new();
        for id in ids {
            revisions.push((id.clone(), reply.text()?));
        }
        let known: Vec<_> = ids.iter().map(|id| (id.clone(), 0)).collect();
        let back = self.records(&known).await?;
        revisions.retain(|(id, _)| !back.iter().any(|r| !r.deleted && r.endpoint.id == *id));
        let mut args = Args::default();
        args.number(revisions.len());
        for (id, revision) in &revisions {
            args.text(id).text(revision);
        }
        let script = Script::ForgetRevisions;
        self.connection.run(REGISTRY, script, "0", &args).await?;
        Ok(())
    }
}

/// What a script tells of a deletion.
pub(crate) fn read_deleted(reply: &mut Reply) -> Result<Deleted> {
    match reply.text()?.as_str() {
        "deleted" => Ok(Deleted::Deleted),
        "absent" => Ok(Deleted::Absent),
        "conflict" => Ok(Deleted::Conflict),
        _ => Err(malformed("names an unknown outcome of a deletion")),
    }
}

fn record(id: &str, revision: u64, mut fields: Reply) -> Result<EndpointRecord> {
    let definition = fields.bytes()?;
    let mut endpoint = if definition.is_empty() {
        WebhookEndpoint {
            id: id.into(),
            ..WebhookEndpoint::default()
        }
    } else {
        serde_json::from_slice(&definition)?
    };
    endpoint.enabled = fields.text()? == "1";
    let gate = gate(&mut fields)?;
    let mut record = EndpointRecord::new(endpoint, gate);
    record.revision = revision;
    record.deleted = !fields.bytes()?.is_empty() || definition.is_empty();
    record.definition_revision = fields.optional()?.unwrap_or(0);
    record.incarnation = fields.optional()?.unwrap_or(0);
    record.created_at = Timestamp::from_millis(fields.optional()?.unwrap_or(0));
    record.updated_at = Timestamp::from_millis(fields.optional()?.unwrap_or(0));
    Ok(record)
}
