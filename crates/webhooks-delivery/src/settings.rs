//! How one process delivers.

use std::sync::Arc;
use std::time::Duration;

use webhooks_core::storage::Retention;
use webhooks_core::{
    MAX_TIMEOUT_SECONDS, Observe, RateLimitConfig, Result, RetryStrategy, TracePropagation,
    WebhookEndpoint, WebhookError,
};

/// How one process delivers.
///
/// All of it is fixed when a [`Pipeline`](crate::Pipeline) starts. Processes on one storage may
/// have other numbers of workers and requests. They should agree on retries, rate limit and
/// auto-disabling, which each applies to the endpoints of all.
///
/// ```
/// use std::time::Duration;
///
/// use webhooks_delivery::Settings;
///
/// let settings = Settings {
///     timeout: Duration::from_secs(10),
///     max_in_flight: 64,
///     ..Settings::default()
/// };
/// settings.validate()?;
/// # Ok::<(), webhooks_core::WebhookError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Settings {
    /// The schedule of retries.
    pub retry_strategy: RetryStrategy,
    /// The rate limit of endpoints that have none of their own. Defaults to no limit.
    pub rate_limit: Option<RateLimitConfig>,
    /// The deadline of one attempt. Defaults to 30 s; 1 to 3,600 s.
    pub timeout: Duration,
    /// Tasks of this process that claim deliveries. Defaults to 4; 0 makes it send-only.
    /// At most 1,024. One watches for work; the others help while claims come back full.
    pub workers: usize,
    /// Requests in flight at most. Defaults to 256.
    /// 1 to 65,536. Each request may take a descriptor and up to 256 KiB; eight times as many
    /// deliveries may be leased.
    pub max_in_flight: usize,
    /// Requests in flight to one endpoint at most. Defaults to 16.
    /// 1 to 65,536. Of this process: several may each have as many.
    pub max_in_flight_per_endpoint: usize,
    /// Requests in flight to the endpoints of one tenant at most; `None` means half of
    /// `max_in_flight`.
    /// 1 to 65,536. Endpoints without a tenant are bound by none.
    pub max_in_flight_per_tenant: Option<usize>,
    /// The longest timeout of an endpoint with a tenant, where the system's is not longer. Defaults
    /// to 120 s; 1 to 3,600 s.
    pub max_tenant_timeout: Duration,
    /// Leases at most while an endpoint's circuit is not closed, by all processes together.
    /// Defaults to 3.
    /// Also how many requests an endpoint starts with after its circuit has closed.
    pub half_open_max_requests: u32,
    /// The longest body of one event, in bytes. Defaults to 256 KiB.
    /// 256 bytes to 64 MiB, with the envelope.
    pub max_body_bytes: usize,
    /// How long things are kept.
    pub retention: Retention,
    /// Whether an event is kept for which no endpoint is. Defaults to true.
    /// Such an event can be listed, and delivered to an endpoint that comes later.
    pub keep_unmatched: bool,
    /// How long an endpoint may only fail before it is disabled; `None` never disables one.
    /// Defaults to 5 days.
    /// Above zero. Listeners are warned after four fifths of it.
    pub auto_disable_after: Option<Duration>,
    /// Which trace requests tell their receivers. Defaults to none.
    pub trace_propagation: TracePropagation,
    /// Who is told what the process does. Defaults to nobody.
    pub observer: Option<Arc<dyn Observe>>,
}

impl Settings {
    /// Deliveries that this process leases and has not settled at most. A batch counts as one.
    /// Eight times what may run, so that quick endpoints always have work in hand, and few claims
    /// bring much.
    pub(crate) const fn max_leased(&self) -> usize {
        self.max_in_flight.saturating_mul(8)
    }

    /// Half by default: whatever one tenant's endpoints do, others have the other half.
    pub(crate) fn max_in_flight_per_tenant(&self) -> usize {
        let half = || self.max_in_flight.div_ceil(2);
        self.max_in_flight_per_tenant.unwrap_or_else(half)
    }

    /// The deadline of one attempt at this endpoint: its own or the system's, and at most what its
    /// kind may have, whatever was stored before that was set.
    #[must_use]
    pub fn timeout_of(&self, endpoint: &WebhookEndpoint) -> Duration {
        match endpoint.timeout_seconds {
            0 => self.timeout,
            // Not refused here: the endpoint was stored under other settings, and must go on.
            seconds => Duration::from_secs(seconds).min(self.longest_timeout(endpoint)),
        }
    }

    fn longest_timeout(&self, endpoint: &WebhookEndpoint) -> Duration {
        match endpoint.tenant {
            Some(_) => self.max_tenant_timeout.max(self.timeout),
            None => Duration::from_secs(MAX_TIMEOUT_SECONDS),
        }
    }

    /// Refuses an endpoint with a longer timeout than its kind may have.
    ///
    /// # Errors
    ///
    /// [`WebhookError::InvalidEndpoint`] that names the bound.
    pub fn check_timeout(&self, endpoint: &WebhookEndpoint) -> Result<()> {
        let (seconds, most) = (endpoint.timeout_seconds, self.longest_timeout(endpoint));
        if Duration::from_secs(seconds) <= most {
            return Ok(());
        }
        let most = most.as_secs();
        let text =
            format!("timeout_seconds is {seconds}, at most {most} for an endpoint with a tenant");
        Err(WebhookError::InvalidEndpoint(text.into()))
    }

    /// Checks the bounds.
    ///
    /// # Errors
    ///
    /// [`WebhookError::InvalidConfig`] that names the setting.
    pub fn validate(&self) -> Result<()> {
        self.retry_strategy.validate()?;
        if let Some(rate_limit) = &self.rate_limit {
            rate_limit.validate()?;
        }
        bound_timeout("timeout_seconds", self.timeout)?;
        bound("workers", self.workers as u64, 0, 1_024)?;
        bound("max_in_flight", self.max_in_flight as u64, 1, 65_536)?;
        let per_endpoint = self.max_in_flight_per_endpoint as u64;
        bound("max_in_flight_per_endpoint", per_endpoint, 1, 65_536)?;
        let per_tenant = self.max_in_flight_per_tenant() as u64;
        bound("max_in_flight_per_tenant", per_tenant, 1, 65_536)?;
        bound_timeout("max_tenant_timeout_seconds", self.max_tenant_timeout)?;
        bound("max_body_bytes", self.max_body_bytes as u64, 256, 64 << 20)?;
        if self.auto_disable_after.is_some_and(|after| after.is_zero()) {
            return Err(WebhookError::InvalidConfig(
                "auto_disable_after is 0, it needs more, or none to turn it off".into(),
            ));
        }
        Ok(())
    }
}

fn bound_timeout(setting: &str, timeout: Duration) -> Result<()> {
    let most = Duration::from_secs(MAX_TIMEOUT_SECONDS);
    if (Duration::from_secs(1)..=most).contains(&timeout) {
        return Ok(());
    }
    let seconds = timeout.as_secs_f64();
    let text = format!("{setting} is {seconds}, it needs 1 to {MAX_TIMEOUT_SECONDS}");
    Err(WebhookError::InvalidConfig(text.into()))
}

/// The names are those of the builder of the facade, which users know the settings by.
fn bound(setting: &str, value: u64, least: u64, most: u64) -> Result<()> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    let text = format!("{setting} is {value}, it needs {least} to {most}");
    Err(WebhookError::InvalidConfig(text.into()))
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            retry_strategy: RetryStrategy::default(),
            rate_limit: None,
            timeout: Duration::from_secs(30),
            workers: 4,
            max_in_flight: 256,
            max_in_flight_per_endpoint: 16,
            max_in_flight_per_tenant: None,
            max_tenant_timeout: Duration::from_secs(120),
            half_open_max_requests: 3,
            max_body_bytes: 256 << 10,
            retention: Retention::default(),
            keep_unmatched: true,
            auto_disable_after: Some(Duration::from_secs(5 * 86_400)),
            trace_propagation: TracePropagation::Off,
            observer: None,
        }
    }
}
