//! The endpoints of a system.

use std::sync::Arc;
use std::time::Duration;

use webhooks_core::storage::spi::GateChange;
use webhooks_core::storage::{DisabledBy, EndpointRecord, Expected, Saved};
use webhooks_core::{
    KeptEndpoint, Result, Secret, WebhookEndpoint, WebhookError, check_endpoint_id,
};

use crate::WebhookSystem;

/// Endpoints. Changes take effect in this process at once, in others within about a second.
impl WebhookSystem {
    /// Adds an endpoint. The definition that is already stored is fine, so that a service can
    /// register its endpoints at every start; that it was disabled, or its secret rotated, since
    /// then does not make it another one. (A secret is known until the second rotation after it, if
    /// it has stopped signing by then: register the new one before.) No name is resolved.
    ///
    /// ```
    /// # use better_auth_webhooks::storage::MemoryStorage;
    /// use better_auth_webhooks::{WebhookEndpoint, WebhookSystem};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), better_auth_webhooks::WebhookError> {
    /// # let system = WebhookSystem::new(MemoryStorage::new());
    /// system
    ///     .register_endpoint(WebhookEndpoint {
    ///         id: "endpoint_1".to_string(),
    ///         url: "https://api.example.com/webhooks".to_string(),
    ///         secret: "webhook_secret".to_string(),
    ///         events: vec!["user.*".to_string()],
    ///         ..Default::default()
    ///     })
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`WebhookError::InvalidEndpoint`], [`WebhookError::InvalidFilter`] or
    /// [`WebhookError::InvalidConfig`] that names the field and its bound;
    /// [`WebhookError::EndpointExists`] when another definition has this id;
    /// [`WebhookError::StorageError`] when the one that has it cannot be decrypted; see
    /// [`WebhookSystem`].
    pub async fn register_endpoint(&self, endpoint: WebhookEndpoint) -> Result<()> {
        let endpoint = &KeptEndpoint::from(endpoint);
        self.check(endpoint).await?;
        let rules = self.endpoint_rules();
        self.change_endpoint(&endpoint.id, |stored| async move {
            let Some(stored) = stored else {
                rules.check_room(self.pipeline()?, endpoint, None)?;
                // Two nodes may be at it: the first one wins, and the other one looks again.
                return self.add(endpoint.clone()).await;
            };
            readable(&stored)?;
            let is_unverified = rules.is_unverified(&stored);
            if !is_same(&stored, endpoint, is_unverified) {
                return Err(WebhookError::EndpointExists(endpoint.id.as_str().into()));
            }
            if is_unverified && endpoint.enabled && stored.gate.disabled.is_none() {
                // An earlier registration ended between its two steps.
                return self.set_gates(&endpoint.id, &[UNVERIFIED]).await;
            }
            Ok(Tried::Unchanged)
        })
        .await
    }

    async fn add(&self, mut endpoint: KeptEndpoint) -> Result<Tried> {
        let verifies = self.endpoint_rules().require_verification && endpoint.enabled;
        // At no moment, and on no node, is it active before it is verified.
        endpoint.enabled &= !verifies;
        let storage = self.pipeline()?.storage();
        let saved = storage.save_definition(&endpoint, Expected::Absent).await?;
        match saved {
            Saved::Stored(_) if verifies => self.set_gates(&endpoint.id, &[UNVERIFIED]).await,
            saved => Ok(saved.into()),
        }
    }

    /// Replaces the definition of an endpoint. `enabled: true` also enables one that was disabled
    /// at run time, but not one that is still to be verified. With another `tenant` it is another
    /// endpoint: what waits for the one before is cancelled, and its dead letters are not replayed.
    ///
    /// ```
    /// # use better_auth_webhooks::storage::MemoryStorage;
    /// # use better_auth_webhooks::{WebhookEndpoint, WebhookSystem};
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), better_auth_webhooks::WebhookError> {
    /// # let transport = webhooks_testing::ScriptedTransport::new();
    /// # let system = WebhookSystem::builder().transport(transport.clone()).build(MemoryStorage::new());
    /// # system
    /// #     .register_endpoint(WebhookEndpoint {
    /// #         id: "endpoint_1".to_string(),
    /// #         url: "https://api.example.com/webhooks".to_string(),
    /// #         secret: "webhook_secret".to_string(),
    /// #         events: vec!["user.*".to_string()],
    /// #         ..Default::default()
    /// #     })
    /// #     .await?;
    /// let endpoint = system.get_endpoint("endpoint_1").await?;
    /// if let Some(mut endpoint) = endpoint {
    ///     endpoint.events = vec!["user.*".to_string(), "order.*".to_string()];
    ///     system.update_endpoint(endpoint).await?;
    /// }
    /// # assert_eq!(system.get_endpoint("endpoint_1").await?.map(|e| e.events.len()), Some(2));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`register_endpoint`](Self::register_endpoint), and [`WebhookError::EndpointNotFound`].
    pub async fn update_endpoint(&self, endpoint: WebhookEndpoint) -> Result<()> {
        let endpoint = &KeptEndpoint::from(endpoint);
        self.check(endpoint).await?;
        self.change_endpoint(&endpoint.id, |stored| async move {
            let stored = found(stored, &endpoint.id)?;
            self.replace(&stored, endpoint.clone()).await
        })
        .await
    }

    async fn replace(&self, stored: &EndpointRecord, mut endpoint: KeptEndpoint) -> Result<Tried> {
        let (pipeline, rules) = (self.pipeline()?, self.endpoint_rules());
        rules.check_room(pipeline, &endpoint, Some(stored))?;
        let has_moved = stored.endpoint.url != endpoint.url;
        if rules.is_unverified(stored) || (has_moved && rules.require_verification) {
            // First, so that the new place gets nothing before it is verified.
            self.set_gates(&endpoint.id, &[UNVERIFIED]).await?;
            endpoint.enabled = false;
        }
        if endpoint.enabled && !stored.endpoint.enabled {
            // First, so that no failure of before disables it again at once.
            self.set_gates(&endpoint.id, &[GateChange::Reset]).await?;
        }
        let expected = Expected::Definition(stored.definition_revision);
        let storage = pipeline.storage();
        let saved = storage.save_definition(&endpoint, expected).await?;
        if has_moved && saved != Saved::Conflict {
            // What the old place did says nothing about the new one.
            self.set_gates(&endpoint.id, &[GateChange::Reset]).await?;
        }
        Ok(saved.into())
    }

    /// Deletes an endpoint and cancels what waits for it. A request in flight may still arrive.
    ///
    /// ```
    /// # use better_auth_webhooks::storage::MemoryStorage;
    /// # use better_auth_webhooks::{WebhookEndpoint, WebhookSystem};
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), better_auth_webhooks::WebhookError> {
    /// # let transport = webhooks_testing::ScriptedTransport::new();
    /// # let system = WebhookSystem::builder().transport(transport.clone()).build(MemoryStorage::new());
    /// # system
    /// #     .register_endpoint(WebhookEndpoint {
    /// #         id: "endpoint_1".to_string(),
    /// #         url: "https://api.example.com/webhooks".to_string(),
    /// #         secret: "webhook_secret".to_string(),
    /// #         events: vec!["user.*".to_string()],
    /// #         ..Default::default()
    /// #     })
    /// #     .await?;
    /// system.delete_endpoint("endpoint_1").await?;
    /// assert!(system.get_endpoint("endpoint_1").await?.is_none());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`WebhookError::EndpointNotFound`]; see [`WebhookSystem`].
    pub async fn delete_endpoint(&self, endpoint_id: &str) -> Result<()> {
        self.change_endpoint(endpoint_id, |_| async move {
            let pipeline = self.pipeline()?;
            let deleted = pipeline
                .storage()
                .delete_endpoint(endpoint_id, pipeline.now());
            match deleted.await? {
                true => Ok(Tried::Stored),
                false => Err(not_found(endpoint_id)),
            }
        })
        .await
    }

    /// An endpoint's definition, if there is one with this id.
    ///
    /// ```
    /// # use better_auth_webhooks::storage::MemoryStorage;
    /// # use better_auth_webhooks::{WebhookEndpoint, WebhookSystem};
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), better_auth_webhooks::WebhookError> {
    /// # let transport = webhooks_testing::ScriptedTransport::new();
    /// # let system = WebhookSystem::builder().transport(transport.clone()).build(MemoryStorage::new());
    /// # system
    /// #     .register_endpoint(WebhookEndpoint {
    /// #         id: "endpoint_1".to_string(),
    /// #         url: "https://api.example.com/webhooks".to_string(),
    /// #         secret: "webhook_secret".to_string(),
    /// #         events: vec!["user.*".to_string()],
    /// #         ..Default::default()
    /// #     })
    /// #     .await?;
    /// let endpoint = system.get_endpoint("endpoint_1").await?;
    /// assert_eq!(endpoint.map(|endpoint| endpoint.enabled), Some(true));
    /// # Ok(())
    /// # }
    /// ```
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
    /// ```
    /// # use better_auth_webhooks::storage::MemoryStorage;
    /// # use better_auth_webhooks::{WebhookEndpoint, WebhookSystem};
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), better_auth_webhooks::WebhookError> {
    /// # let transport = webhooks_testing::ScriptedTransport::new();
    /// # let system = WebhookSystem::builder().transport(transport.clone()).build(MemoryStorage::new());
    /// # system
    /// #     .register_endpoint(WebhookEndpoint {
    /// #         id: "endpoint_1".to_string(),
    /// #         url: "https://api.example.com/webhooks".to_string(),
    /// #         secret: "webhook_secret".to_string(),
    /// #         events: vec!["user.*".to_string()],
    /// #         ..Default::default()
    /// #     })
    /// #     .await?;
    /// for record in system.list_endpoints().await? {
    ///     println!("{} paused: {}", record.endpoint.id, record.gate.paused);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`WebhookSystem`].
    pub async fn list_endpoints(&self) -> Result<Vec<Arc<EndpointRecord>>> {
        let pipeline = self.ready().await?;
        pipeline.refresh().await?;
        Ok(pipeline.endpoints())
    }

    /// Gives an endpoint a new secret. For `overlap` requests are signed with the old ones too, at
    /// most 5 in all, so that the consumer can change over at any time in between.
    ///
    /// ```
    /// # use better_auth_webhooks::storage::MemoryStorage;
    /// # use better_auth_webhooks::{WebhookEndpoint, WebhookSystem};
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), better_auth_webhooks::WebhookError> {
    /// # let transport = webhooks_testing::ScriptedTransport::new();
    /// # let system = WebhookSystem::builder().transport(transport.clone()).build(MemoryStorage::new());
    /// # system
    /// #     .register_endpoint(WebhookEndpoint {
    /// #         id: "endpoint_1".to_string(),
    /// #         url: "https://api.example.com/webhooks".to_string(),
    /// #         secret: "webhook_secret".to_string(),
    /// #         events: vec!["user.*".to_string()],
    /// #         ..Default::default()
    /// #     })
    /// #     .await?;
    /// use std::time::Duration;
    ///
    /// let secret = better_auth_webhooks::generate_secret()?;
    /// // For a day both sign, so that the consumer changes over at any time.
    /// system.rotate_secret("endpoint_1", secret, Duration::from_secs(86_400)).await?;
    /// # Ok(())
    /// # }
    /// ```
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
        let secret = &Secret::from(secret.into());
        self.change_endpoint(endpoint_id, |stored| async move {
            let stored = found(stored, endpoint_id)?;
            let pipeline = self.pipeline()?;
            let mut endpoint = KeptEndpoint::clone(readable(&stored)?);
            let now = pipeline.now();
            endpoint.rotate_secret(secret.expose().to_owned(), now.after(overlap), now);
            endpoint.validate()?;
            let expected = stored.definition_revision;
            let saved = pipeline.storage().save_secrets(&endpoint, expected).await?;
            Ok(saved.into())
        })
        .await
    }

    /// Changes an endpoint: looks at what is stored, makes the change on that, and takes over what it
    /// came to. It begins anew for as long as somebody else was quicker.
    pub(crate) async fn change_endpoint<F>(
        &self,
        endpoint_id: &str,
        change: impl Fn(Option<Arc<EndpointRecord>>) -> F,
    ) -> Result<()>
    where
        F: Future<Output = Result<Tried>>,
    {
        let pipeline = self.ready().await?;
        check_endpoint_id(endpoint_id)?;
        for _ in 0..TRIES {
            pipeline.refresh().await?;
            match change(pipeline.endpoint(endpoint_id)).await? {
                Tried::Stored => return pipeline.refresh().await,
                Tried::Unchanged => return Ok(()),
                Tried::Conflict => {}
            }
        }
        let text = format!("{endpoint_id:?}, {TRIES} times");
        Err(WebhookError::EndpointChanged(text.into()))
    }

    /// Whether the system could deliver to this endpoint.
    async fn check(&self, endpoint: &WebhookEndpoint) -> Result<()> {
        let pipeline = self.ready().await?;
        endpoint.validate()?;
        pipeline.settings().check_timeout(endpoint)?;
        pipeline.transport().check(endpoint)
    }
}

/// What one try of a change came to.
pub(crate) enum Tried {
    /// It is stored.
    Stored,
    /// There is nothing to store.
    Unchanged,
    /// Somebody else has changed the endpoint since it was looked at.
    Conflict,
}

impl From<Saved> for Tried {
    fn from(saved: Saved) -> Self {
        match saved {
            Saved::Stored(_) => Self::Stored,
            Saved::Conflict => Self::Conflict,
        }
    }
}

/// How often a change begins anew because somebody else was quicker. That one is done then, so that
/// of many at a time each finds its turn.
const TRIES: usize = 100;
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

/// What is stored, if there is such an endpoint.
pub(crate) fn found(
    stored: Option<Arc<EndpointRecord>>,
    endpoint_id: &str,
) -> Result<Arc<EndpointRecord>> {
    stored.ok_or_else(|| not_found(endpoint_id))
}

fn not_found(endpoint_id: &str) -> WebhookError {
    WebhookError::EndpointNotFound(endpoint_id.into())
}
