use std::collections::HashMap;

use webhooks_core::storage::spi::{EndpointChanges, EndpointGate, GateChange};
use webhooks_core::storage::{EndpointRecord, Expected, GateState, Saved, WebhookStorage};
use webhooks_core::{KeptEndpoint, Result, Timestamp, WebhookEndpoint, WebhookError};

use crate::args::Args;
use crate::redis_storage::RedisStorage;
use crate::reply::{Reply, named};
use crate::rows::tenant_line;
use crate::script::Script;

/// The partition that numbers the changes of all endpoints.
pub(crate) const REGISTRY: usize = 0;
/// Gates that one run of a script changes at most.
const MOST_GATES: usize = 250;

impl RedisStorage {
    pub(crate) async fn save_whole(
        &self,
        endpoint: &WebhookEndpoint,
        expected: Expected,
    ) -> Result<Saved> {
        let expected = match expected {
            Expected::Any => "any".to_owned(),
            Expected::Absent => "absent".to_owned(),
            Expected::Definition(revision) => revision.to_string(),
        };
        self.save(endpoint, &expected, "definition").await
    }

    /// Of the definition only the secrets differ from what is expected to be stored, or all of it
    /// does not fit: so the whole of it is written, and nothing beside it.
    pub(crate) async fn save_secrets_alone(
        &self,
        endpoint: &WebhookEndpoint,
        expected: u64,
    ) -> Result<Saved> {
        let Some(stored) = self.get_endpoint(&endpoint.id).await? else {
            return Ok(Saved::Conflict);
        };
        let mut stored = KeptEndpoint::from(stored);
        stored.secret.clone_from(&endpoint.secret);
        stored
            .previous_secrets
            .clone_from(&endpoint.previous_secrets);
        self.save(&stored, &expected.to_string(), "secrets").await
    }

    async fn save(&self, endpoint: &WebhookEndpoint, expected: &str, part: &str) -> Result<Saved> {
        let partition = self.connection.keys.partition_of(&endpoint.id);
        let mut args = Args::default();
        args.text(&endpoint.id)
            .text(expected)
            .number(webhooks_core::unique_number())
            .text(part)
            .bytes(serde_json::to_vec(&*self.keys.seal(endpoint)?)?.into())
            .flag(endpoint.enabled);
        match endpoint.rate_limit {
            Some(limit) => args
                .number(limit.requests_per_second)
                .number(limit.burst_size),
            None => args.text("").text(""),
        };
        args.number(endpoint.batch.map_or(1, |batch| batch.max_events));
        args.text(
            &endpoint
                .tenant
                .as_deref()
                .map(tenant_line)
                .unwrap_or_default(),
        );
        let wait = endpoint.batch.map(|batch| batch.max_wait_ms.to_string());
        args.text(&wait.unwrap_or_default());
        let script = Script::SaveEndpoint;
        let mut reply = self.connection.run(partition, script, "", &args).await?;
        let (revision, replaced) = (reply.number()?, reply.flag()?);
        if revision == 0 {
            return Ok(Saved::Conflict);
        }
        let rest = async {
            self.announce_changes(partition).await?;
            if replaced {
                self.cancel_replaced(partition, &endpoint.id).await?;
            }
            Ok(Saved::Stored(revision))
        };
        // It is saved, whatever the error of what follows says of itself.
        rest.await.map_err(WebhookError::perhaps_done)
    }

    /// Cancels what waits for earlier incarnations of an endpoint.
    async fn cancel_replaced(&self, partition: usize, id: &str) -> Result<()> {
        let (mut place, mut offset) = ("ready".to_owned(), 0_u64);
        while !place.is_empty() {
            let mut args = Args::default();
            args.text(id).text(&place).number(offset);
            let script = Script::CancelReplaced;
            let mut reply = self.connection.run(partition, script, "", &args).await?;
            (place, offset) = (reply.text()?, reply.number()?);
        }
        Ok(())
    }

    /// Its revision is that of its definition: the registry alone knows the other one.
    pub(crate) async fn read_record(&self, id: &str) -> Result<Option<EndpointRecord>> {
        let record = self.records(&[(id.to_owned(), 0)]).await?.pop();
        Ok(record.filter(|record| !record.deleted))
    }

    pub(crate) async fn bury_endpoint(&self, id: &str, now: Timestamp) -> Result<bool> {
        let partition = self.connection.keys.partition_of(id);
        let now = now.as_millis().to_string();
        let mut args = Args::default();
        args.text(id).number(webhooks_core::unique_number());
        let run = || {
            let script = Script::DeleteEndpoint;
            self.connection.run(partition, script, &now, &args)
        };
        let mut reply = run().await?;
        let rest = async {
            loop {
                let (found, more) = (reply.flag()?, reply.flag()?);
                if !more {
                    self.announce_changes(partition).await?;
                    return Ok(found);
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

    pub(crate) async fn change_gates(&self, gates: &[EndpointGate], now: Timestamp) -> Result<()> {
        let mut by_partition: HashMap<usize, Vec<&EndpointGate>> = HashMap::new();
        for gate in gates {
            let partition = self.connection.keys.partition_of(&gate.endpoint_id);
            by_partition.entry(partition).or_default().push(gate);
        }
        let now = now.as_millis().to_string();
        let mut all = Vec::new();
        for (partition, of) in &by_partition {
            all.extend(of.chunks(MOST_GATES).map(|gates| (*partition, gates)));
        }
        for (partition, gates) in all {
            let mut args = Args::default();
            args.number(gates.len());
            for gate in gates {
                let value = carried(gate.change);
                let epoch = gate.epoch.map(|epoch| epoch.to_string());
                args.text(&gate.endpoint_id)
                    .text(gate.change.as_str())
                    .text(&value);
                args.text(&epoch.unwrap_or_default());
            }
            let script = Script::SetGates;
            let mut changed = self.connection.run(partition, script, &now, &args).await?;
            if !changed.is_over() {
                drop(changed.text()?);
                self.announce_changes(partition).await?;
            }
        }
        Ok(())
    }

    /// The endpoints with these ids, in their order; one that is gone is a tombstone.
    async fn records(&self, changed: &[(String, u64)]) -> Result<Vec<EndpointRecord>> {
        let ids: Vec<&str> = changed.iter().map(|(id, _)| id.as_str()).collect();
        let fields = self.fields(&ids).await?;
        let records = changed.iter().zip(fields);
        records
            .map(|((id, revision), fields)| self.record(id, *revision, fields))
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

    /// Numbers changes: pairs of an endpoint and how often it changed.
    pub(crate) async fn announce(&self, partition: usize, mut changes: Reply) -> Result<()> {
        let mut pairs = Vec::new();
        while !changes.is_over() {
            pairs.push((changes.text()?, changes.text()?));
        }
        if pairs.is_empty() {
            return Ok(());
        }
        let (mut ids, mut seen) = (Args::default(), Args::default());
        ids.number(pairs.len());
        seen.number(pairs.len());
        for (id, times) in &pairs {
            ids.text(id);
            seen.text(id).text(times);
        }
        let announce = Script::Announce;
        self.connection.run(REGISTRY, announce, "0", &ids).await?;
        let announced = Script::Announced;
        self.connection
            .run(partition, announced, "0", &seen)
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

    fn record(&self, id: &str, revision: u64, mut fields: Reply) -> Result<EndpointRecord> {
        let definition = fields.bytes()?;
        let mut endpoint = if definition.is_empty() {
            WebhookEndpoint {
                id: id.into(),
                ..WebhookEndpoint::default()
            }
        } else {
            serde_json::from_slice(&definition)?
        };
        let unreadable = self.keys.open(&mut endpoint).err();
        if let Some(error) = &unreadable {
            tracing::error!(%error, "an endpoint cannot be read, what waits for it goes on waiting");
        }
        endpoint.enabled = fields.text()? == "1";
        let mut record = EndpointRecord::new(endpoint, gate(&mut fields)?);
        record.revision = revision;
        record.deleted = !fields.bytes()?.is_empty() || definition.is_empty();
        record.definition_revision = fields.optional()?.unwrap_or(0);
        record.incarnation = fields.optional()?.unwrap_or(0);
        record.unreadable = unreadable;
        Ok(record)
    }
}

fn gate(fields: &mut Reply) -> Result<GateState> {
    let mut gate = GateState::default();
    gate.paused = fields.text()? == "1";
    gate.disabled = match fields.text()?.as_str() {
        "" => None,
        name => Some(named(name)?),
    };
    gate.held_until = fields.optional()?.map(Timestamp::from_millis);
    gate.max_leased = fields.optional()?;
    gate.failing_since = fields.optional()?.map(Timestamp::from_millis);
    gate.epoch = fields.optional()?.unwrap_or(0);
    Ok(gate)
}

/// What a change carries, as the script takes it.
fn carried(change: GateChange) -> String {
    let at = |time: Timestamp| time.as_millis().to_string();
    match change {
        GateChange::Pause
        | GateChange::Resume
        | GateChange::Enable
        | GateChange::Reset
        | GateChange::Recovered => String::new(),
        GateChange::Disable(by) => by.to_string(),
        GateChange::Hold { until } => at(until),
        GateChange::LimitLeased(most) => most.map_or(String::new(), |n| n.to_string()),
        GateChange::FailingSince(since) => at(since),
    }
}
