use tokio::runtime::Runtime;

use crate::Backend;

pub(crate) fn run<B: Backend>(_backend: &B, _runtime: &Runtime) {}
