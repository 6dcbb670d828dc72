//! Who did what.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;
use webhooks_core::{EventId, Timestamp};

use better_auth_webhooks::storage::Expected;

use super::operations::Ops;
use crate::access::{Caller, Scope};
use crate::problem::Problem;

/// How long entries are kept.
const KEPT: Duration = Duration::from_secs(90 * 86_400);

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Action {
    /// An endpoint was registered.
    EndpointCreate,
    /// A definition was saved over another.
    EndpointReplace,
    /// An endpoint was deleted.
    EndpointDelete,
    /// Deliveries of an endpoint were made to wait.
    EndpointPause,
    /// Deliveries of an endpoint may go on.
    EndpointResume,
    /// An endpoint was enabled.
    EndpointEnable,
    /// An endpoint was disabled.
    EndpointDisable,
    /// An endpoint was asked whether it wants to be one.
    EndpointVerify,
    /// A test was sent to an endpoint.
    EndpointTest,
    /// An endpoint was given another secret.
    SecretRotate,
    /// A delivery was cancelled.
    DeliveryCancel,
    /// A delivery that had ended was sent again.
    DeliveryResend,
    /// An event was sent to an endpoint that had none of it.
    EventDeliver,
    /// The payload of an event was dropped.
    PayloadErase,
    /// A dead letter was sent again.
    DeadLetterReplay,
    /// A dead letter was dropped.
    DeadLetterPurge,
    /// Dead letters are sent again by a job.
    JobReplay,
    /// Deliveries that have ended are sent again by a job.
    JobResend,
    /// Deliveries that wait are cancelled by a job.
    JobCancel,
    /// Deliveries that have ended are dropped by a job.
    JobPurge,
    /// Payloads are dropped by a job.
    JobErase,
    /// A job is stopped.
    JobStop,
    /// An event type was defined.
    EventTypePut,
    /// An event type is offered no more.
    EventTypeArchive,
    /// An event type was dropped from the catalogue.
    EventTypePurge,
    /// Event types were taken out of a document.
    EventTypeImport,
    /// The secret of an endpoint was read.
    SecretReveal,
    /// A token was made for a tenant.
    TokenIssue,
    /// What a tenant was given was ended.
    TenantRevoke,
    /// The credentials of all endpoints are encrypted anew.
    Reencrypt,
    /// A key was made.
    KeyCreate,
    /// A key was changed.
    KeyChange,
    /// A key was given another text.
    KeyRotate,
    /// A key was ended.
    KeyDelete,
}

/// One thing that was done, or was about to be: it is written before.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct AuditEntry {
    /// When, by the storage's clock.
    pub(crate) at: Timestamp,
    /// Who, as [`Caller::actor`] has it.
    pub(crate) actor: String,
    /// How they showed who they are: `bearer`, `cookie` or `host`.
    pub(crate) via: String,
    /// What they did.
    pub(crate) action: Action,
    /// The id of what it was done to.
    pub(crate) resource: String,
    /// The tenant of the caller.
    pub(crate) tenant: Option<String>,
    /// Names of what was changed. Values may be secrets.
    pub(crate) fields: Vec<String>,
}

impl Ops {
    /// Writes down what is about to be done; if that fails, it must not be done.
    pub(super) async fn note(
        &self,
        caller: &Caller,
        action: Action,
        resource: &str,
        fields: Vec<String>,
    ) -> Result<(), Problem> {
        let at = self.now()?;
        let entry = AuditEntry {
            at,
            actor: caller.actor.to_string(),
            via: caller.via.as_str().to_owned(),
            action,
            resource: resource.to_owned(),
            tenant: caller.tenant.as_deref().map(str::to_owned),
            fields,
        };
        tracing::info!(
            target: "webhooks::audit",
            actor = entry.actor,
            via = entry.via,
            action = ?entry.action,
            resource = entry.resource,
            tenant = entry.tenant,
            fields = ?entry.fields,
        );
        if !self.audit.are_kept() {
            return Ok(());
        }
        // Of the time, so that entries are listed in the order in which they were written.
        let id = EventId::new(at).as_uuid().to_string();
        let put = self.audit.put(&id, &entry, Expected::Absent, Some(KEPT));
        put.await.map(drop)
    }

    /// What was done, newest first, behind the entry `after`.
    pub(crate) async fn audit(
        &self,
        caller: &Caller,
        after: Option<Uuid>,
        limit: usize,
    ) -> Result<Vec<(String, AuditEntry)>, Problem> {
        caller.needs(Scope::AuditRead)?;
        let after = after.map(|id| id.to_string());
        let kept = self.audit.list(after, true, limit).await?;
        Ok(kept.into_iter().map(|kept| (kept.id, kept.value)).collect())
    }
}
