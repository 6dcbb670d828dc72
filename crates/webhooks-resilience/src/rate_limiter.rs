//! The rate limits of all endpoints of this process.
//!
//! One token bucket per endpoint, by governor. Idle buckets are dropped only once they are full
//! again, so that being dropped gives nobody a second burst.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use webhooks_core::{Clock, RateLimitConfig, Result, Timestamp};

use crate::SystemClock;
use crate::endpoint_map::EndpointMap;
use crate::token_bucket::TokenBucket;

/// A token bucket per endpoint.
#[derive(Debug)]
pub struct RateLimiter {
    default: Option<RateLimitConfig>,
    overrides: RwLock<HashMap<Box<str>, RateLimitConfig>>,
    clock: Arc<dyn Clock>,
    buckets: EndpointMap<TokenBucket>,
}

impl RateLimiter {
    /// A limiter that holds every endpoint to `default`; `None` limits only those that
    /// [`RateLimiter::set_limit`] names.
    ///
    /// ```
    /// use webhooks_core::RateLimitConfig;
    /// use webhooks_resilience::RateLimiter;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> webhooks_core::Result<()> {
    /// let limiter = RateLimiter::new(RateLimitConfig { requests_per_second: 10, burst_size: 1 });
    /// assert!(limiter.check_rate_limit("endpoint_1").await?);
    /// assert!(!limiter.check_rate_limit("endpoint_1").await?);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn new(default: impl Into<Option<RateLimitConfig>>) -> Self {
        Self {
            default: default.into(),
            overrides: RwLock::default(),
            clock: Arc::new(SystemClock),
            buckets: EndpointMap::new(),
        }
    }

    /// The clock that [`RateLimiter::check_rate_limit`] asks. Defaults to [`SystemClock`].
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// Sets the limit of one endpoint for [`RateLimiter::check_rate_limit`]; `None` takes it back
    /// to the default.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](webhooks_core::WebhookError::InvalidConfig) if the limit is out of its
    /// bounds.
    pub fn set_limit(&self, endpoint_id: &str, limit: Option<RateLimitConfig>) -> Result<()> {
        let mut overrides = self
            .overrides
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        match limit {
            Some(limit) => {
                limit.validate()?;
                overrides.insert(endpoint_id.into(), limit);
            }
            None => {
                overrides.remove(endpoint_id);
            }
        }
        Ok(())
    }

    /// Takes a token of this endpoint; `false` if none is left. An endpoint without a limit always
    /// has one.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](webhooks_core::WebhookError::InvalidConfig) if the default limit is out of
    /// its bounds.
    #[expect(
        clippy::unused_async,
        reason = "a limiter that asks a shared storage could not be synchronous"
    )]
    pub async fn check_rate_limit(&self, endpoint_id: &str) -> Result<bool> {
        let Some(limit) = self.limit(endpoint_id) else {
            return Ok(true);
        };
        // The default is checked here, as `new` has no way to refuse it.
        limit.validate()?;
        Ok(self.acquire(endpoint_id, limit, self.clock.now()).is_ok())
    }

    /// Takes a token of this endpoint under the limit `config`.
    ///
    /// A limit other than that of the call before begins with a full bucket. Counts of 0 act as 1.
    ///
    /// # Errors
    ///
    /// When there will be a token. Nothing was taken.
    pub fn acquire(
        &self,
        endpoint_id: &str,
        config: RateLimitConfig,
        now: Timestamp,
    ) -> Result<(), Timestamp> {
        self.buckets.entry(
            endpoint_id,
            now,
            || TokenBucket::new(config, now),
            |bucket| bucket.take(config, now),
        )
    }

    /// How many endpoints a bucket is kept for: those that lately had a token taken.
    #[must_use]
    pub fn tracked_endpoints(&self) -> usize {
        self.buckets.len()
    }

    fn limit(&self, endpoint_id: &str) -> Option<RateLimitConfig> {
        let overrides = self
            .overrides
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        overrides.get(endpoint_id).copied().or(self.default)
    }
}
