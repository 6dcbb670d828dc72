//! Endpoints.

use std::sync::Arc;
use std::time::Duration;

use better_auth_webhooks::storage::{Counts, DisabledBy, EndpointRecord, Expected};
use better_auth_webhooks::{EndpointMetrics, OutgoingEvent};
use serde_json::Value;
use serde_json::value::RawValue;
use webhooks_core::{
    DeliveryResult, EventFilter, EventType, PreviousSecret, Secret, WebhookEndpoint, WebhookError,
    generate_secret,
};

use super::audit::Action;
use super::gate_state::GateState;
use super::health::EndpointHealth;
use super::operations::{Ops, sees};
use crate::access::{Caller, Scope};
use crate::problem::Problem;

/// The longest time for which a rotated secret still signs.
const MAX_OVERLAP: Duration = Duration::from_secs(7 * 86_400);
/// Endpoints whose health is looked at for one page, at most.
const MOST_LOOKED_AT: usize = 10_000;
/// What is sent as a test if the caller names no type.
const TEST: &str = "webhook.test";

/// Which endpoints; every field that is set must match.
#[derive(Clone, Debug, Default)]
pub(crate) struct EndpointFilter {
    pub(crate) tenant: Option<String>,
    /// Endpoints that take events of this type.
    pub(crate) event_type: Option<String>,
    /// Endpoints with this in their id, their description or the host of their URL.
    pub(crate) text: Option<String>,
    /// Endpoints whose gate is so.
    pub(crate) state: Option<GateState>,
    /// Endpoints that are so. It is looked at last: it costs a read of the statistics.
    pub(crate) health: Option<EndpointHealth>,
}

/// Endpoints that were found, and how they are if that was asked for.
#[derive(Debug)]
pub(crate) struct FoundEndpoints {
    pub(crate) records: Vec<Arc<EndpointRecord>>,
    /// One for each, or none.
    pub(crate) health: Vec<EndpointHealth>,
    /// Behind which id there may be more.
    pub(crate) next: Option<String>,
}

/// A change of what lets an endpoint's deliveries through.
#[derive(Clone, Copy, Debug)]
pub(crate) enum GateAction {
    Pause,
    Resume,
    Enable,
    Disable,
}

/// What is sent as a test.
#[derive(Debug, Default)]
pub(crate) struct EndpointTest {
    pub(crate) event_type: Option<String>,
    pub(crate) data: Option<Box<RawValue>>,
}

/// A secret that was rotated.
#[derive(Debug)]
pub(crate) struct Rotation {
    /// The new one, if it was made here.
    pub(crate) generated: Option<Secret>,
    pub(crate) previous: Vec<PreviousSecret>,
}

impl Ops {
    /// Endpoints by id, behind the id `after`. Of those that match all but the health, it looks at
    /// 10,000 at most: then there may be more behind a page that is not full.
    pub(crate) async fn endpoints(
        &self,
        caller: &Caller,
        filter: &EndpointFilter,
        with_health: bool,
        after: Option<&str>,
        limit: usize,
    ) -> Result<FoundEndpoints, Problem> {
        caller.needs(Scope::EndpointsRead)?;
        let now = self.now()?;
        let event_type = filter.event_type.as_deref().map(EventType::new);
        let event_type = event_type
            .transpose()
            .map_err(|error| Problem::malformed(error.to_string()))?;
        let mut all = self.system.list_endpoints().await?;
        all.retain(|record| {
            let endpoint = &record.endpoint;
            sees(caller, record)
                && after.is_none_or(|after| endpoint.id.as_str() > after)
                && (filter.tenant.as_ref()).is_none_or(|of| endpoint.tenant.as_ref() == Some(of))
                && event_type.as_ref().is_none_or(|of| takes(endpoint, of))
                && (filter.state).is_none_or(|of| GateState::of(record, now) == of)
                && filter
                    .text
                    .as_deref()
                    .is_none_or(|text| has_text(endpoint, text))
        });
        self.healthy(filter.health, with_health, all, limit).await
    }

    /// The first of these endpoints that are so, if that is asked for.
    async fn healthy(
        &self,
        asked: Option<EndpointHealth>,
        with_health: bool,
        all: Vec<Arc<EndpointRecord>>,
        limit: usize,
    ) -> Result<FoundEndpoints, Problem> {
        let mut found = FoundEndpoints {
            records: Vec::new(),
            health: Vec::new(),
            next: None,
        };
        let looked_at = match asked {
            Some(_) => MOST_LOOKED_AT,
            None => limit,
        };
        for records in all
            .chunks(limit.max(1))
            .take(looked_at.div_ceil(limit.max(1)))
        {
            let health = match asked.is_some() || with_health {
                true => self.health_of(records).await?,
                false => Vec::new(),
            };
            for (index, record) in records.iter().enumerate() {
                let health = health.get(index).copied();
                found.next = Some(record.endpoint.id.clone());
                if asked.is_none() || asked == health {
                    found.records.push(record.clone());
                    found.health.extend(health.filter(|_| with_health));
                }
                if found.records.len() == limit {
                    break;
                }
            }
            if found.records.len() == limit {
                break;
            }
        }
        // Behind the last one of all there is none.
        let last = all.last().map(|record| &record.endpoint.id);
        found.next.take_if(|next| Some(&*next) == last);
        Ok(found)
    }

    /// One endpoint. Needs `endpoints:read`.
    pub(crate) async fn endpoint(
        &self,
        caller: &Caller,
        endpoint_id: &str,
    ) -> Result<Arc<EndpointRecord>, Problem> {
        caller.needs(Scope::EndpointsRead)?;
        self.seen_endpoint(caller, endpoint_id).await
    }

    /// The endpoint as it is stored, for who changes it.
    pub(crate) async fn stored_endpoint(
        &self,
        caller: &Caller,
        endpoint_id: &str,
    ) -> Result<Arc<EndpointRecord>, Problem> {
        caller.needs(Scope::EndpointsWrite)?;
        self.seen_endpoint(caller, endpoint_id).await
    }

    /// How an endpoint is, which the caller has seen.
    pub(crate) async fn endpoint_health(
        &self,
        caller: &Caller,
        record: &Arc<EndpointRecord>,
    ) -> Result<Option<EndpointHealth>, Problem> {
        caller.needs(Scope::EndpointsRead)?;
        let health = self.health_of(std::slice::from_ref(record)).await?;
        Ok(health.first().copied())
    }

    /// How many deliveries of each of these endpoints, which the caller has seen, are in each state.
    pub(crate) async fn counts_of(
        &self,
        caller: &Caller,
        endpoint_ids: &[Arc<str>],
    ) -> Result<Vec<Counts>, Problem> {
        caller.needs(Scope::EndpointsRead)?;
        Ok(self.system.counts_of(endpoint_ids).await?)
    }

    /// Registers an endpoint that there is not yet.
    pub(crate) async fn create_endpoint(
        &self,
        caller: &Caller,
        mut endpoint: WebhookEndpoint,
    ) -> Result<Arc<EndpointRecord>, Problem> {
        caller.needs(Scope::EndpointsWrite)?;
        self.own(caller, &mut endpoint)?;
        endpoint.validate().map_err(pointed)?;
        let id = endpoint.id.clone();
        self.note(caller, Action::EndpointCreate, &id, Vec::new())
            .await?;
        self.system.create_endpoint(endpoint).await.map_err(pointed)
    }

    /// Saves a definition over the one that is expected.
    pub(crate) async fn replace_endpoint(
        &self,
        caller: &Caller,
        mut endpoint: WebhookEndpoint,
        expected: Expected,
        fields: Vec<String>,
    ) -> Result<Arc<EndpointRecord>, Problem> {
        caller.needs(Scope::EndpointsWrite)?;
        self.own(caller, &mut endpoint)?;
        if caller.tenant.is_some() && expected != Expected::Absent {
            self.seen_endpoint(caller, &endpoint.id).await?;
        }
        endpoint.validate().map_err(pointed)?;
        let id = endpoint.id.clone();
        self.note(caller, Action::EndpointReplace, &id, fields)
            .await?;
        let replaced = self.system.replace_endpoint(endpoint, expected);
        replaced.await.map_err(pointed)
    }

    /// Deletes an endpoint, if its definition is the one that is expected; what waits for it is
    /// cancelled.
    pub(crate) async fn delete_endpoint(
        &self,
        caller: &Caller,
        endpoint_id: &str,
        expected: Expected,
    ) -> Result<(), Problem> {
        caller.needs(Scope::EndpointsWrite)?;
        self.seen_endpoint(caller, endpoint_id).await?;
        self.note(caller, Action::EndpointDelete, endpoint_id, Vec::new())
            .await?;
        let deleted = self.system.delete_endpoint_if(endpoint_id, expected);
        Ok(deleted.await?)
    }

    /// Pauses, resumes, enables or disables an endpoint; how it is then.
    pub(crate) async fn set_gate(
        &self,
        caller: &Caller,
        endpoint_id: &str,
        action: GateAction,
    ) -> Result<Arc<EndpointRecord>, Problem> {
        caller.needs(Scope::EndpointsWrite)?;
        let record = self.seen_endpoint(caller, endpoint_id).await?;
        let is_unverified = record.gate.disabled == Some(DisabledBy::Unverified);
        if is_unverified && matches!(action, GateAction::Enable) {
            let text = format!("{endpoint_id} has not answered its challenge yet");
            return Err(WebhookError::NotVerified(text.into()).into());
        }
        let system = &self.system;
        let noted = match action {
            GateAction::Pause => Action::EndpointPause,
            GateAction::Resume => Action::EndpointResume,
            GateAction::Enable => Action::EndpointEnable,
            GateAction::Disable => Action::EndpointDisable,
        };
        self.note(caller, noted, endpoint_id, Vec::new()).await?;
        match action {
            GateAction::Pause => system.pause_endpoint(endpoint_id).await,
            GateAction::Resume => system.resume_endpoint(endpoint_id).await,
            GateAction::Enable => system.enable_endpoint(endpoint_id).await,
            GateAction::Disable => system.disable_endpoint(endpoint_id).await,
        }?;
        Ok(system.endpoint(endpoint_id).await?)
    }

    /// Asks an endpoint whether it wants to be one; how it is then.
    pub(crate) async fn verify_endpoint(
        &self,
        caller: &Caller,
        endpoint_id: &str,
    ) -> Result<Arc<EndpointRecord>, Problem> {
        caller.needs(Scope::EndpointsWrite)?;
        self.seen_endpoint(caller, endpoint_id).await?;
        self.limits.challenges.take(endpoint_id, self.now()?)?;
        self.note(caller, Action::EndpointVerify, endpoint_id, Vec::new())
            .await?;
        self.system.verify_endpoint(endpoint_id).await?;
        Ok(self.system.endpoint(endpoint_id).await?)
    }

    /// Sends an event to an endpoint that is not stored and not tried again.
    pub(crate) async fn test_endpoint(
        &self,
        caller: &Caller,
        endpoint_id: &str,
        test: EndpointTest,
    ) -> Result<DeliveryResult, Problem> {
        caller.needs(Scope::EndpointsWrite)?;
        self.seen_endpoint(caller, endpoint_id).await?;
        if let Some(tenant) = &caller.tenant {
            self.limits.test(tenant, self.now()?)?;
        }
        self.note(caller, Action::EndpointTest, endpoint_id, Vec::new())
            .await?;
        let event_type = test.event_type.as_deref().unwrap_or(TEST);
        let event = OutgoingEvent::new(event_type);
        let event = match test.data {
            Some(data) => event.raw_data(data),
            None => event.data(self.example(caller, event_type).await?),
        };
        Ok(self.system.try_endpoint(endpoint_id, &event).await?)
    }

    /// Gives an endpoint another secret, or makes one; that of before signs for so long, too.
    pub(crate) async fn rotate_secret(
        &self,
        caller: &Caller,
        endpoint_id: &str,
        secret: Option<Secret>,
        overlap: Duration,
    ) -> Result<Rotation, Problem> {
        caller.needs(Scope::EndpointsSecrets)?;
        self.seen_endpoint(caller, endpoint_id).await?;
        if overlap > MAX_OVERLAP {
            let text = format!(
                "overlap_seconds is {}, it needs 0 to {}",
                overlap.as_secs(),
                MAX_OVERLAP.as_secs()
            );
            return Err(Problem::invalid("invalid-endpoint", text).at("/overlap_seconds"));
        }
        let generated = match secret {
            Some(_) => None,
            None => Some(Secret::from(generate_secret()?)),
        };
        let new = secret.as_ref().or(generated.as_ref());
        let new = new
            .map(|secret| secret.expose().to_owned())
            .unwrap_or_default();
        let fields = vec!["secret".to_owned()];
        self.note(caller, Action::SecretRotate, endpoint_id, fields)
            .await?;
        self.system.rotate_secret(endpoint_id, new, overlap).await?;
        let record = self.system.endpoint(endpoint_id).await?;
        Ok(Rotation {
            generated,
            previous: record.endpoint.previous_secrets.clone(),
        })
    }

    /// The secret of an endpoint, where it can be read again at all.
    pub(crate) async fn reveal_secret(
        &self,
        caller: &Caller,
        endpoint_id: &str,
    ) -> Result<Secret, Problem> {
        caller.needs(Scope::EndpointsSecrets)?;
        let record = self.seen_endpoint(caller, endpoint_id).await?;
        if !self.reveals_secrets || caller.tenant.is_some() {
            let text = "secrets are shown once, when they are made: rotate it instead";
            let status = http::StatusCode::FORBIDDEN;
            return Err(Problem::new(status, "not-revealable", text));
        }
        self.note(caller, Action::SecretReveal, endpoint_id, Vec::new())
            .await?;
        Ok(Secret::from(record.endpoint.secret.clone()))
    }

    /// One endpoint in numbers, as the storage and this process have them.
    pub(crate) async fn endpoint_metrics(
        &self,
        caller: &Caller,
        endpoint_id: &str,
    ) -> Result<EndpointMetrics, Problem> {
        caller.needs(Scope::MetricsRead)?;
        self.seen_endpoint(caller, endpoint_id).await?;
        Ok(self.system.endpoint_metrics(endpoint_id).await?)
    }

    /// What a test of this type says if nobody says otherwise: the first example of the catalogue.
    async fn example(&self, caller: &Caller, event_type: &str) -> Result<Value, Problem> {
        let known = self.event_types.find(event_type).await?;
        let definition = known.as_ref().map(|known| &known.entry.definition);
        let seen = definition.filter(|of| of.is_visible_to(caller.tenant.as_deref()));
        let example = seen.and_then(|of| of.examples.first().cloned());
        Ok(example.unwrap_or_else(|| serde_json::json!({ "test": true })))
    }

    /// What a tenant's caller makes is the tenant's, and cannot be given to another.
    fn own(&self, caller: &Caller, endpoint: &mut WebhookEndpoint) -> Result<(), Problem> {
        let Some(tenant) = &caller.tenant else {
            return Ok(());
        };
        match endpoint.tenant.as_deref() {
            Some(other) if other != &**tenant => {
                let text = "tenant must be the caller's own, or be left out";
                Err(Problem::invalid("invalid-endpoint", text).at("/tenant"))
            }
            _ => {
                endpoint.tenant = Some(tenant.to_string());
                Ok(())
            }
        }
    }
}

/// Whether the filters of an endpoint take events of this type.
fn takes(endpoint: &WebhookEndpoint, event_type: &EventType) -> bool {
    let filters = endpoint
        .events
        .iter()
        .map(|filter| EventFilter::new(filter));
    filters.flatten().any(|filter| filter.matches(event_type))
}

/// Whether people would find it under this text.
fn has_text(endpoint: &WebhookEndpoint, text: &str) -> bool {
    let url = url::Url::parse(&endpoint.url).ok();
    let host = url
        .as_ref()
        .and_then(url::Url::host_str)
        .unwrap_or_default();
    [endpoint.id.as_str(), endpoint.description.as_str(), host]
        .iter()
        .any(|of| of.contains(text))
}

/// An error of a definition, with the field that it names.
fn pointed(error: WebhookError) -> Problem {
    const FIELDS: [&str; 17] = [
        "id",
        "url",
        "secret",
        "events",
        "enabled",
        "rate_limit",
        "headers",
        "content_type",
        "user_agent",
        "accepted_statuses",
        "timeout_seconds",
        "tenant",
        "batch",
        "signature",
        "ordering",
        "description",
        "metadata",
    ];
    let problem = Problem::from(error);
    if !problem.code().starts_with("invalid-") {
        return problem;
    }
    // The library's message begins, behind its kind, with the name of the field.
    let said = problem
        .detail()
        .split_once(": ")
        .map_or("", |(_, said)| said);
    let word = said
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .next();
    match word
        .filter(|word| FIELDS.contains(word))
        .map(|word| format!("/{word}"))
    {
        Some(pointer) => problem.at(pointer),
        None if problem.code() == "invalid-filter" => problem.at("/events"),
        None => problem,
    }
}
