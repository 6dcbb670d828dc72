//! What handlers work with.

use std::sync::{Arc, OnceLock};

use crate::access::Access;
use crate::live::Live;
use crate::measure::Measure;
use crate::ops::Ops;

/// What handlers work with.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    pub(crate) ops: Ops,
    pub(crate) access: Arc<Access>,
    pub(crate) live: Live,
    pub(crate) measure: Measure,
    pub(crate) document: Arc<OnceLock<String>>,
}
