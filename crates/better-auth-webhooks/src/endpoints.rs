//! The endpoints of a system.

use std::sync::Arc;
use std::time::Duration;

use webhooks_core::storage::spi::{EndpointGate, GateChange};
use webhooks_core::storage::{DisabledBy, EndpointRecord, Expected, Saved};
use webhooks_core::{
    KeptEndpoint, Result, Secret, WebhookEndpoint, WebhookError, check_endpoint_id,
};
use webhooks_delivery::Pipeline;

use crate::WebhookSystem;

/// Endpoints. Changes take effect in this process at once, in others within about a second.
impl WebhookSystem {
    /// Adds an endpoint. The definition that is already stored is fine, so that a service can
    /// register its endpoints at every start; that it was disabled, or its secret rotated, since
    /// then does not make it another one. (A secret is known until the second rotation after it, if
    /// it has stopped signing by then: register the new one before.) No name is resolved.
    ///
    /// # Errors
    ///
    /// [`WebhookError::InvalidEndpoint`], [`WebhookError::InvalidFilter`] or
    /// [`WebhookError::InvalidConfig`] that names the field and its bound;
    /// [`WebhookError::EndpointExists`] when another definition has this id;
    /// [`WebhookError::StorageError`] when the one that has it cannot be decrypted; see
    /// [`WebhookSystem`].
    pub async fn register_endpoint(&self, endpoint: WebhookEndpoint) -> Result<()> {
        let endpoint = KeptEndpoint::from(endpoint);
        let pipeline = self.checked(&endpoint).await?;
        let rules = self.endpoint_rules();
        for _ in 0..TRIES {
            pipeline.refresh().await?;
            let Some(stored) = pipeline.endpoint(&endpoint.id) else {
                rules.check_room(pipeline, &endpoint, None)?;
                // Two nodes may be at it: the first one wins, and the other one looks again.
                match self.add(pipeline, endpoint.clone()).await? {
                    Saved::Stored(_) => return Ok(()),
                    Saved::Conflict => continue,
                }
            };
            readable(&stored)?;
            let is_unverified = rules.is_unverified(&stored);
            if !is_same(&stored, &endpoint, is_unverified) {
                return Err(WebhookError::EndpointExists(endpoint.id.as_str().into()));
            }
            if is_unverified && endpoint.enabled && stored.gate.disabled.is_none() {
                // An earlier registration ended between its two steps.
                return self.set_gate(pipeline, &endpoint.id, UNVERIFIED).await;
            }
            return Ok(());
        }
        Err(changed_meanwhile(&endpoint.id))
    }

    async fn add(&self, pipeline: &Pipeline, mut endpoint: KeptEndpoint) -> Result<Saved> {
        let verifies = self.endpoint_rules().require_verification && endpoint.enabled;
        // At no moment, and on no node, is it active before it is verified.
        endpoint.enabled &= !verifies;
        let storage = pipeline.storage();
        let saved = storage.save_definition(&endpoint, Expected::Absent).await?;
        match saved {
            Saved::Conflict => {}
            Saved::Stored(_) if verifies => {
                self.set_gate(pipeline, &endpoint.id, UNVERIFIED).await?;
            }
            Saved::Stored(_) => pipeline.refresh().await?,
        }
        Ok(saved)
    }

    /// Replaces the definition of an endpoint. `enabled: true` also enables one that was disabled
    /// at run time, but not one that is still to be verified. With another `tenant` it is another
    /// endpoint: what waits for the one before is cancelled, and its dead letters are not replayed.
    ///
    /// # Errors
    ///
    /// As [`register_endpoint`](Self::register_endpoint), and [`WebhookError::EndpointNotFound`].
    pub async fn update_endpoint(&self, endpoint: WebhookEndpoint) -> Result<()> {
        let endpoint = KeptEndpoint::from(endpoint);
        let pipeline = self.checked(&endpoint).await?;
        for _ in 0..TRIES {
            if let Saved::Stored(_) = self.try_update(pipeline, endpoint.clone()).await? {
                return pipeline.refresh().await;
            }
        }
        Err(changed_meanwhile(&endpoint.id))
    }

    async fn try_update(&self, pipeline: &Pipeline, mut endpoint: KeptEndpoint) -> Result<Saved> {
        let stored = self.stored(pipeline, &endpoint.id).await?;
        let rules = self.endpoint_rules();
        rules.check_room(pipeline, &endpoint, Some(&stored))?;
        let has_moved = stored.endpoint.url != endpoint.url;
        if rules.is_unverified(&stored) || (has_moved && rules.require_verification) {
            // First, so that the new place gets nothing before it is verified.
            self.set_gate(pipeline, &endpoint.id, UNVERIFIED).await?;
            endpoint.enabled = false;
        }
        if endpoint.enabled && !stored.endpoint.enabled {
            // First, so that no failure of before disables it again at once.
            self.set_gate(pipeline, &endpoint.id, GateChange::Reset)
                .await?;
        }
        let expected = Expected::Definition(stored.definition_revision);
        let storage = pipeline.storage();
        let saved = storage.save_definition(&endpoint, expected).await?;
        if has_moved && saved != Saved::Conflict {
            // What the old place did says nothing about the new one.
            self.set_gate(pipeline, &endpoint.id, GateChange::Reset)
                .await?;
        }
        Ok(saved)
    }

    /// Deletes an endpoint and cancels what waits for it. A request in flight may still arrive.
    ///
    /// # Errors
    ///
    /// [`WebhookError::EndpointNotFound`]; see [`WebhookSystem`].
    pub async fn delete_endpoint(&self, endpoint_id: &str) -> Result<()> {
        let pipeline = self.ready().await?;
        check_endpoint_id(endpoint_id)?;
        if !pipeline
            .storage()
            .delete_endpoint(endpoint_id, pipeline.now())
            .await?
        {
            return Err(not_found(endpoint_id));
        }
        pipeline.refresh().await
    }

    /// An endpoint's definition, if there is one with this id.
    ///
    /// # Errors
    ///
    /// [`WebhookError::InvalidId`] for a text that no endpoint can have as its id, as in all calls
    /// that take one; see [`WebhookSystem`].
    pub async fn get_endpoint(&self, endpoint_id: &str) -> Result<Option<WebhookEndpoint>> {
        let pipeline = self.ready().await?;
        check_endpoint_id(endpoint_id)?;
        pipeline.storage().get_endpoint(endpoint_id).await
    }

    /// All endpoints with what lets their deliveries through, by id.
    ///
    /// # Errors
    ///
    /// See [`WebhookSystem`].
    pub async fn list_endpoints(&self) -> Result<Vec<Arc<EndpointRecord>>> {
        let pipeline = self.ready().await?;
        pipeline.refresh().await?;
        Ok(pipeline.endpoints())
    }

    /// Lets an endpoint take events again, after it was disabled by hand, by a 410 or for failing.
    /// What waited goes first one request at a time, then faster. Circuits that any process holds open
    /// for it are closed.
    ///
    /// # Errors
    ///
    /// [`WebhookError::EndpointNotFound`]; [`WebhookError::NotVerified`] for one that is still to be
    /// verified; see [`WebhookSystem`].
    pub async fn enable_endpoint(&self, endpoint_id: &str) -> Result<()> {
        let pipeline = self.ready().await?;
        let stored = self.stored(pipeline, endpoint_id).await?;
        if self.endpoint_rules().is_unverified(&stored) {
            let text = format!("{endpoint_id:?} is to be verified by verify_endpoint");
            return Err(WebhookError::NotVerified(text.into()));
        }
        self.set_gate(pipeline, endpoint_id, GateChange::Enable)
            .await
    }

    /// Makes new events make no deliveries for an endpoint; what waits for it keeps waiting.
    ///
    /// # Errors
    ///
    /// [`WebhookError::EndpointNotFound`]; see [`WebhookSystem`].
    pub async fn disable_endpoint(&self, endpoint_id: &str) -> Result<()> {
        self.change_gate(endpoint_id, GateChange::Disable(DisabledBy::Operator))
            .await
    }

    /// Lets deliveries of an endpoint wait, new ones too, until it is resumed.
    ///
    /// # Errors
    ///
    /// [`WebhookError::EndpointNotFound`]; see [`WebhookSystem`].
    pub async fn pause_endpoint(&self, endpoint_id: &str) -> Result<()> {
        self.change_gate(endpoint_id, GateChange::Pause).await
    }

    /// Lets what waited for a paused endpoint go, first one request at a time, then faster. Circuits
    /// that any process holds open for it are closed, and the time begins anew after which it is
    /// disabled for failing.
    ///
    /// # Errors
    ///
    /// [`WebhookError::EndpointNotFound`]; see [`WebhookSystem`].
    pub async fn resume_endpoint(&self, endpoint_id: &str) -> Result<()> {
        let pipeline = self.ready().await?;
        self.stored(pipeline, endpoint_id).await?;
        let changes = [GateChange::Resume, GateChange::Reset];
        self.set_gates(pipeline, endpoint_id, &changes).await
    }

    /// Gives an endpoint a new secret. For `overlap` requests are signed with the old ones too, at
    /// most 5 in all, so that the consumer can change over at any time in between.
    ///
    /// # Errors
    ///
    /// [`WebhookError::EndpointNotFound`]; as
    /// [`register_endpoint`](Self::register_endpoint) for a secret out of its bounds, and for an
    /// endpoint that cannot be decrypted.
    pub async fn rotate_secret(
        &self,
        endpoint_id: &str,
        secret: impl Into<String>,
        overlap: Duration,
    ) -> Result<()> {
        let pipeline = self.ready().await?;
        let secret = Secret::from(secret.into());
        for _ in 0..TRIES {
            let stored = self.stored(pipeline, endpoint_id).await?;
            let mut endpoint = KeptEndpoint::clone(readable(&stored)?);
            let now = pipeline.now();
            endpoint.rotate_secret(secret.expose().to_owned(), now.after(overlap), now);
            endpoint.validate()?;
            let expected = stored.definition_revision;
            let saved = pipeline.storage().save_secrets(&endpoint, expected).await?;
            if saved != Saved::Conflict {
                return pipeline.refresh().await;
            }
        }
        Err(changed_meanwhile(endpoint_id))
    }

    async fn change_gate(&self, endpoint_id: &str, change: GateChange) -> Result<()> {
        let pipeline = self.ready().await?;
        self.stored(pipeline, endpoint_id).await?;
        self.set_gate(pipeline, endpoint_id, change).await
    }

    pub(crate) async fn set_gate(
        &self,
        pipeline: &Pipeline,
        endpoint_id: &str,
        change: GateChange,
    ) -> Result<()> {
        self.set_gates(pipeline, endpoint_id, &[change]).await
    }

    async fn set_gates(
        &self,
        pipeline: &Pipeline,
        endpoint_id: &str,
        changes: &[GateChange],
    ) -> Result<()> {
        let gate = |change: &GateChange| EndpointGate {
            endpoint_id: endpoint_id.into(),
            epoch: None,
            change: *change,
        };
        let gates: Vec<_> = changes.iter().map(gate).collect();
        let storage = pipeline.storage();
        storage.set_gates(&gates, pipeline.now()).await?;
        pipeline.refresh().await
    }

    /// The pipeline, if it could deliver to this endpoint.
    async fn checked(&self, endpoint: &WebhookEndpoint) -> Result<&Pipeline> {
        let pipeline = self.ready().await?;
        endpoint.validate()?;
        pipeline.settings().check_timeout(endpoint)?;
        pipeline.transport().check(endpoint)?;
        Ok(pipeline)
    }

    pub(crate) async fn stored(
        &self,
        pipeline: &Pipeline,
        id: &str,
    ) -> Result<Arc<EndpointRecord>> {
        check_endpoint_id(id)?;
        pipeline.refresh().await?;
        pipeline.endpoint(id).ok_or_else(|| not_found(id))
    }
}

/// How often a change begins anew because somebody else was quicker. That one is done then, so that
/// of many at a time each finds its turn.
pub(crate) const TRIES: usize = 100;
const UNVERIFIED: GateChange = GateChange::Disable(DisabledBy::Unverified);

/// Whether a definition is the stored one, apart from what was changed at run time.
fn is_same(stored: &EndpointRecord, endpoint: &WebhookEndpoint, is_unverified: bool) -> bool {
    let mut old = KeptEndpoint::clone(&stored.endpoint);
    if is_unverified || stored.gate.disabled.is_some() {
        old.enabled = endpoint.enabled;
    }
    if old
        .previous_secrets
        .iter()
        .any(|previous| previous.secret == endpoint.secret)
    {
        old.secret.clone_from(&endpoint.secret);
    }
    old.previous_secrets.clone_from(&endpoint.previous_secrets);
    *old == *endpoint
}

/// The definition, if its credentials could be decrypted.
pub(crate) fn readable(stored: &EndpointRecord) -> Result<&KeptEndpoint> {
    match &stored.unreadable {
        Some(error) => Err(error.clone()),
        None => Ok(&stored.endpoint),
    }
}

pub(crate) fn changed_meanwhile(endpoint_id: &str) -> WebhookError {
    WebhookError::EndpointChanged(format!("{endpoint_id:?}, {TRIES} times").into())
}

fn not_found(endpoint_id: &str) -> WebhookError {
    WebhookError::EndpointNotFound(endpoint_id.into())
}
