//! The endpoints of a system.

use std::sync::Arc;
use std::time::Duration;

use webhooks_core::storage::spi::GateChange;
use webhooks_core::storage::{Deleted, DisabledBy, EndpointRecord, Expected, Saved};
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

    /// Adds an endpoint, and no other may have its id, not even with the same definition.
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
    /// let record = system
    ///     .create_endpoint(WebhookEndpoint {
    ///         id: "endpoint_2".to_string(),
    ///         url: "https://api.example.com/other".to_string(),
    ///         secret: "webhook_secret".to_string(),
    ///         events: vec!["order.*".to_string()],
    ///         ..Default::default()
    ///     })
    ///     .await?;
    /// println!("registered at {}", record.created_at);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`register_endpoint`](Self::register_endpoint).
    pub async fn create_endpoint(&self, endpoint: WebhookEndpoint) -> Result<Arc<EndpointRecord>> {
        self.replace_endpoint(endpoint, Expected::Absent).await
    }

    /// Saves the definition of an endpoint, if what is stored is what is expected: anything, nothing,
    /// or the definition with the revision that its caller has seen. What happens then is the same as
    /// by [`update_endpoint`](Self::update_endpoint).
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
    /// use better_auth_webhooks::storage::Expected;
    ///
    /// let seen = system.endpoint("endpoint_1").await?;
    /// let mut endpoint = WebhookEndpoint::clone(&seen.endpoint);
    /// endpoint.description = "of the billing team".to_string();
    /// let expected = Expected::Revision(seen.definition_revision);
    /// let saved = system.replace_endpoint(endpoint, expected).await?;
    /// assert!(saved.definition_revision > seen.definition_revision);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`register_endpoint`](Self::register_endpoint); [`WebhookError::EndpointExists`] where none
    /// is expected, and [`WebhookError::EndpointChanged`] where another revision is.
    pub async fn replace_endpoint(
        &self,
        endpoint: WebhookEndpoint,
        expected: Expected,
    ) -> Result<Arc<EndpointRecord>> {
        let endpoint = &KeptEndpoint::from(endpoint);
        self.check(endpoint).await?;
        let rules = self.endpoint_rules();
        self.change_endpoint(&endpoint.id, |stored| async move {
            check_expected(expected, stored.as_deref(), &endpoint.id)?;
            match stored {
                Some(stored) => self.replace(&stored, endpoint.clone()).await,
                None => {
                    rules.check_room(self.pipeline()?, endpoint, None)?;
                    self.add(endpoint.clone()).await
                }
            }
        })
        .await?;
        found(self.pipeline()?.endpoint(&endpoint.id), &endpoint.id)
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
        let expected = Expected::Revision(stored.definition_revision);
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
        self.delete_endpoint_if(endpoint_id, Expected::Any).await
    }

    /// As [`delete_endpoint`](Self::delete_endpoint), if what is stored is what is expected.
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
    /// use better_auth_webhooks::WebhookError;
    /// use better_auth_webhooks::storage::Expected;
    ///
    /// let seen = system.endpoint("endpoint_1").await?;
    /// system.update_endpoint(WebhookEndpoint::clone(&seen.endpoint)).await?;
    /// let expected = Expected::Revision(seen.definition_revision);
    /// let deleted = system.delete_endpoint_if("endpoint_1", expected).await;
    /// assert!(matches!(deleted, Err(WebhookError::EndpointChanged(_))));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`WebhookError::EndpointNotFound`], [`WebhookError::EndpointChanged`]; see [`WebhookSystem`].
    pub async fn delete_endpoint_if(&self, endpoint_id: &str, expected: Expected) -> Result<()> {
        self.change_endpoint(endpoint_id, |_| async move {
            let pipeline = self.pipeline()?;
            let storage = pipeline.storage();
            let deleted = storage.delete_endpoint(endpoint_id, expected, pipeline.now());
            match deleted.await? {
                Deleted::Deleted => Ok(Tried::Stored),
                Deleted::Absent => Err(not_found(endpoint_id)),
                Deleted::Conflict => Err(WebhookError::EndpointChanged(endpoint_id.into())),
            }
        })
        .await
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

/// Refuses a change of what is not what its caller expects.
fn check_expected(
    expected: Expected,
    stored: Option<&EndpointRecord>,
    endpoint_id: &str,
) -> Result<()> {
    if expected.is_met_by(stored.map(|stored| stored.definition_revision)) {
        return Ok(());
    }
    Err(match expected {
        Expected::Absent => WebhookError::EndpointExists(endpoint_id.into()),
        _ => WebhookError::EndpointChanged(endpoint_id.into()),
    })
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
