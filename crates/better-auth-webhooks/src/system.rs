//! The system that a service embeds.

use std::sync::Arc;
use std::time::Duration;

use webhooks_core::storage::WebhookStorage;
use webhooks_core::{Result, WebhookError, check_endpoint_id};
use webhooks_delivery::{EndpointMetrics, Metrics, NoticeStream, Pipeline};

use crate::endpoint_rules::EndpointRules;
use crate::health::Health;

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
    /// # Errors
    ///
    /// See [`WebhookSystem`].
    pub async fn get_metrics(&self) -> Result<Metrics> {
        let pipeline = self.ready().await?;
        let counts = pipeline.storage().counts(None).await?;
        let attempts = pipeline.attempts();
        Ok(Metrics {
            total_deliveries: counts.enqueued,
            successful_deliveries: counts.delivered,
            failed_deliveries: counts.dead,
            avg_latency_ms: attempts.mean_ms,
            counts,
            attempts,
            refused: pipeline.refused(),
        })
    }

    /// One endpoint in numbers, with its circuit as this process sees it.
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
        let endpoint_id = endpoint_id.into();
        Ok(EndpointMetrics {
            endpoint_id,
            counts,
            attempts,
            circuit,
            in_flight,
        })
    }

    /// Everything that happens from now on: deliveries that arrive, are retried or given up,
    /// circuits that change, endpoints that are about to be or were disabled.
    ///
    /// # Errors
    ///
    /// See [`WebhookSystem`].
    pub fn notices(&self) -> Result<NoticeStream> {
        Ok(self.pipeline()?.notices())
    }

    /// Whether the storage answers and the tasks that deliver run.
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
    /// # Errors
    ///
    /// See [`WebhookSystem`].
    pub async fn shutdown(&self, deadline: Duration) -> Result<()> {
        self.pipeline()?.shut_down(deadline).await;
        Ok(())
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
