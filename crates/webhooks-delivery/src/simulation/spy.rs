//! The real admission, and a note of all that it was asked.

use std::sync::{Arc, Mutex};

use webhooks_core::{
    Admission, AdmissionDecision, Circuit, CircuitBreakerConfig, Permit, RateLimitConfig,
    Timestamp, Verdict,
};
use webhooks_resilience::ResilienceAdmission;

/// What admission was asked, and how it answered.
#[derive(Clone, Debug)]
pub(super) enum Asked {
    Admitted {
        endpoint: Arc<str>,
        limit: Option<RateLimitConfig>,
    },
    Refused {
        endpoint: Arc<str>,
        until: Timestamp,
    },
    Settled {
        verdict: Verdict,
        changed: Option<Circuit>,
    },
    /// A permit was dropped without a verdict.
    Dropped,
    Forgot {
        endpoint: Arc<str>,
    },
}

type Log = Arc<Mutex<Vec<Asked>>>;

/// Passes all on to the real admission.
#[derive(Debug)]
pub(super) struct Spy {
    real: ResilienceAdmission,
    log: Log,
}

#[derive(Debug)]
struct SpiedPermit {
    real: Option<Box<dyn Permit>>,
    log: Log,
}

impl Spy {
    pub(super) fn new(config: CircuitBreakerConfig) -> Self {
        Self {
            real: ResilienceAdmission::new(config),
            log: Log::default(),
        }
    }

    /// All since the last look.
    pub(super) fn take(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.log.lock().unwrap())
    }

    fn note(&self, asked: Asked) {
        self.log.lock().unwrap().push(asked);
    }
}

impl Admission for Spy {
    fn admit(
        &self,
        endpoint_id: &str,
        limit: Option<RateLimitConfig>,
        now: Timestamp,
    ) -> AdmissionDecision {
        let endpoint: Arc<str> = endpoint_id.into();
        match self.real.admit(endpoint_id, limit, now) {
            AdmissionDecision::Go(real) => {
                self.note(Asked::Admitted { endpoint, limit });
                AdmissionDecision::Go(Box::new(SpiedPermit {
                    real: Some(real),
                    log: self.log.clone(),
                }))
            }
            AdmissionDecision::Wait { until, because } => {
                self.note(Asked::Refused { endpoint, until });
                AdmissionDecision::Wait { until, because }
            }
        }
    }

    fn circuit(&self, endpoint_id: &str, now: Timestamp) -> Circuit {
        self.real.circuit(endpoint_id, now)
    }

    fn forget(&self, endpoint_id: &str) {
        self.note(Asked::Forgot {
            endpoint: endpoint_id.into(),
        });
        self.real.forget(endpoint_id);
    }
}

impl Permit for SpiedPermit {
    fn settle(mut self: Box<Self>, verdict: Verdict, now: Timestamp) -> Option<Circuit> {
        let changed = self.real.take().and_then(|real| real.settle(verdict, now));
        let asked = Asked::Settled { verdict, changed };
        self.log.lock().unwrap().push(asked);
        changed
    }
}

impl Drop for SpiedPermit {
    fn drop(&mut self) {
        if self.real.take().is_some() {
            self.log.lock().unwrap().push(Asked::Dropped);
        }
    }
}
