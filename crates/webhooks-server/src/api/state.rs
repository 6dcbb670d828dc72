//! What handlers work with.

use std::sync::{Arc, OnceLock};

use crate::access::Access;
use crate::documents::Documents;
use crate::live::Live;
use crate::measure::Measure;
use crate::ops::Ops;

/// What handlers work with.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    pub(crate) ops: Ops,
    pub(crate) access: Arc<Access>,
    /// What was answered under idempotency keys.
    pub(crate) idempotency: Documents,
    pub(crate) live: Live,
    pub(crate) measure: Measure,
    pub(crate) document: Arc<OnceLock<String>>,
}
