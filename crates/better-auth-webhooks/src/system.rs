//! The system that a service embeds.

use std::sync::Arc;
use std::time::Duration;

use webhooks_core::storage::WebhookStorage;
use webhooks_core::{CircuitState, Result, Snapshot, WebhookError, check_endpoint_id};
use webhooks_delivery::{EndpointMetrics, Metrics, NoticeStream, Pipeline};

use crate::endpoint_rules::EndpointRules;
use crate::health::Health;
use crate::shutdown::Shutdown;

/// Sends webhooks. Clones share one system, whose tasks end when the last of them is dropped.
///
/// Every call returns [`WebhookError::InvalidConfig`] when the system was built with a setting out
/// of its bounds, and [`WebhookError::StorageError`] when the storage fails.
#[derive(Clone, Debug)]
pub struct WebhookSystem {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    pipeline: Result<Pipeline>,
    endpoint_rules: EndpointRules,
}

impl WebhookSystem {
    /// Starts a system with the defaults, on any storage.
    ///
    /// ```
    /// use better_auth_webhooks::WebhookSystem;
    /// use better_auth_webhooks::storage::MemoryStorage;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let system = WebhookSystem::new(MemoryStorage::new());
    /// # assert!(system.health().await.is_healthy());
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// Outside a Tokio runtime, since its tasks run there.
    #[must_use]
    #[track_caller]
    pub fn new(storage: impl WebhookStorage) -> Self {
        Self::builder().build(storage)
    }

    pub(crate) fn from_pipeline(pipeline: Result<Pipeline>, endpoint_rules: EndpointRules) -> Self {
        Self {
            inner: Arc::new(Inner {
                pipeline,
                endpoint_rules,
            }),
        }
    }

    /// The whole system in numbers.
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
    /// system.send_webhook("user.created", "data").await?;
    /// system.drain(std::time::Duration::from_secs(10)).await?;
    ///
    /// let metrics = system.get_metrics().await?;
    /// assert_eq!((metrics.total_deliveries, metrics.successful_deliveries), (1, 1));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`WebhookSystem`].
    pub async fn get_metrics(&self) -> Result<Metrics> {
        let pipeline = self.ready().await?;
        let counts = pipeline.storage().counts(None).await?;
        Ok(Metrics::new(
            counts,
            pipeline.attempts(),
            pipeline.refused(),
        ))
    }

    /// One endpoint in numbers, with its circuit as this process sees it.
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
    /// use better_auth_webhooks::CircuitState;
    ///
    /// let metrics = system.endpoint_metrics("endpoint_1").await?;
    /// assert_eq!(metrics.circuit.state, CircuitState::Closed);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`WebhookError::EndpointNotFound`]; see [`WebhookSystem`].
    pub async fn endpoint_metrics(&self, endpoint_id: &str) -> Result<EndpointMetrics> {
        let pipeline = self.ready().await?;
        check_endpoint_id(endpoint_id)?;
        let Some((attempts, circuit, in_flight)) = pipeline.endpoint_attempts(endpoint_id) else {
            return Err(WebhookError::EndpointNotFound(endpoint_id.into()));
        };
        let counts = pipeline.storage().counts(Some(endpoint_id)).await?;
        let id = endpoint_id.to_owned();
        Ok(EndpointMetrics::new(
            id, counts, attempts, circuit, in_flight,
        ))
    }

    /// The circuit of an endpoint, as this process sees it; closed for one that it does not know.
    ///
    /// # Errors
    ///
    /// [`WebhookError::StorageError`] and [`WebhookError::InvalidConfig`]; see [`WebhookSystem`].
    pub fn circuit(&self, endpoint_id: &str) -> Result<CircuitState> {
        let attempts = self.pipeline()?.endpoint_attempts(endpoint_id);
        Ok(attempts.map_or(CircuitState::Closed, |(_, circuit, _)| circuit.state))
    }

    /// Everything that happens from now on: deliveries that arrive, are retried or given up,
    /// circuits that change, endpoints that are about to be or were disabled.
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
    /// use better_auth_webhooks::Notice;
    ///
    /// let mut notices = system.notices()?; // also a `futures_core::Stream`
    /// system.send_webhook("user.created", "data").await?;
    /// match notices.next().await {
    ///     Some(Notice::Delivered { delivery }) => assert_eq!(delivery.attempt, 1),
    ///     Some(Notice::Dead { delivery, reason }) => eprintln!("{}: {reason:?}", delivery.delivery_id),
    ///     Some(Notice::Missed { notices }) => eprintln!("read too slowly for {notices} of them"),
    ///     _ => {}
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`WebhookSystem`].
    pub fn notices(&self) -> Result<NoticeStream> {
        Ok(self.pipeline()?.notices())
    }

    /// What can be looked at and not counted: this process as it is now, and all processes as the storage
    /// told them 5 s ago at most, however many ask. For metrics: `Telemetry::encode_with` of
    /// `webhooks-telemetry` takes it.
    ///
    /// It returns within about 2 s. A storage that does not answer leaves out its own part alone, so that
    /// the rest can still be scraped.
    ///
    /// ```
    /// # use better_auth_webhooks::storage::MemoryStorage;
    /// # use better_auth_webhooks::WebhookSystem;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), better_auth_webhooks::WebhookError> {
    /// let system = WebhookSystem::new(MemoryStorage::new());
    /// let snapshot = system.snapshot().await?;
    /// assert_eq!(snapshot.process.requests_limit, 256);
    /// assert_eq!(snapshot.cluster.map(|cluster| cluster.counts.waiting()), Some(0));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Only that of a setting out of its bounds: see [`WebhookSystem`].
    pub async fn snapshot(&self) -> Result<Snapshot> {
        Ok(self.pipeline()?.snapshot().await)
    }

    /// Whether the storage answers and the tasks that deliver run.
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
    /// assert!(system.health().await.is_healthy());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn health(&self) -> Health {
        let Ok(pipeline) = self.pipeline() else {
            return Health {
                storage: false,
                dispatcher: false,
                settling: false,
            };
        };
        let storage =
            pipeline.ready().await.is_ok() && pipeline.storage().beat(None, None).await.is_ok();
        Health {
            storage,
            dispatcher: pipeline.is_alive(),
            settling: pipeline.is_settling(),
        }
    }

    /// Waits until nothing waits or is in flight, deliveries of disabled and paused endpoints
    /// aside; `false` if the deadline passes before.
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
    /// system.send_webhook("user.created", "data").await?;
    /// assert!(system.drain(Duration::from_secs(10)).await?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`WebhookSystem`].
    pub async fn drain(&self, deadline: Duration) -> Result<bool> {
        self.pipeline()?.drain(deadline).await
    }

    /// Ends the system: no event is taken any more, requests in flight may end until the deadline,
    /// and everything that came of them is stored. What is cut off or waits stays in the storage,
    /// with no attempt counted. Sending afterwards returns [`WebhookError::ShutDown`].
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
    /// let ended = system.shutdown(Duration::from_secs(10)).await?;
    /// if ended.cut_off {
    ///     eprintln!("some requests took too long, and are made again at the next start");
    /// }
    /// assert!(system.send_webhook("user.created", "data").await.is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`WebhookSystem`].
    pub async fn shutdown(&self, deadline: Duration) -> Result<Shutdown> {
        let all_ended = self.pipeline()?.shut_down(deadline).await;
        Ok(Shutdown {
            cut_off: !all_ended,
        })
    }

    pub(crate) fn pipeline(&self) -> Result<&Pipeline> {
        self.inner.pipeline.as_ref().map_err(Clone::clone)
    }

    /// The pipeline, once all endpoints are known.
    pub(crate) async fn ready(&self) -> Result<&Pipeline> {
        let pipeline = self.pipeline()?;
        pipeline.ready().await?;
        Ok(pipeline)
    }

    pub(crate) fn endpoint_rules(&self) -> &EndpointRules {
        &self.inner.endpoint_rules
    }
}
