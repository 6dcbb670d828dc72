//! All deliveries that match, page by page.
//!
//! An export holds no lock and no snapshot. It reads pages from the newest delivery to the oldest, each
//! behind the last of the one before. What is made while it runs is newer than its start, and is not in
//! it. A delivery that changes meanwhile is told as it is when its page is read.
//!
//! The size of a page follows from the largest body that the system takes, so that the payloads of one
//! page stay within 16 MiB unless a single one is larger. A tenant's export is narrowed on each page
//! again: an endpoint that the tenant loses while it runs is left out from then on.
//!
//! An export ends after a million deliveries. [`Export::is_complete`] then tells that there are more.

use std::time::Duration;

use better_auth_webhooks::storage::{DeliveryQuery, DeliveryRecord};
use webhooks_core::WebhookError;

use super::operations::Ops;
use crate::access::{Caller, Scope};
use crate::problem::Problem;

/// Deliveries of one export at most.
const MOST: usize = 1_000_000;
/// Deliveries of one page at most.
const PAGE: usize = 500;
/// Bytes of payloads of one page at most, unless one alone has more.
const PAGE_BYTES: usize = 16 << 20;
/// How long the storage may take for one page.
const PATIENCE: Duration = Duration::from_secs(10);

/// An export that goes on: where it is.
#[derive(Debug)]
pub(crate) struct Export {
    /// The next page.
    query: DeliveryQuery,
    /// Deliveries that it may still have.
    left: usize,
    /// Whether there may be another page.
    goes_on: bool,
}

impl Ops {
    /// Begins an export of what matches, with payloads or without.
    ///
    /// # Errors
    ///
    /// 403 `scope-missing` without `deliveries:read`, or without `payloads:read` where payloads are asked for.
    pub(crate) fn export(
        &self,
        caller: &Caller,
        query: DeliveryQuery,
        payloads: bool,
    ) -> Result<Export, Problem> {
        caller.needs(Scope::DeliveriesRead)?;
        if payloads {
            caller.needs(Scope::PayloadsRead)?;
        }
        let limit = page_limit(self.max_body_bytes()?);
        Ok(Export {
            query: DeliveryQuery { limit, ..query },
            left: MOST,
            goes_on: true,
        })
    }

    /// The next page; it may be empty and not the last one. `None` once there is no other, because
    /// everything was read, or because an export has no more than a million deliveries.
    ///
    /// # Errors
    ///
    /// What the storage answers, and an error if it takes longer than 10 seconds for one page. The answer has
    /// begun by then, so its status is sent: NDJSON ends with `{"complete":false}`, and CSV is broken off.
    pub(crate) async fn export_page(
        &self,
        caller: &Caller,
        export: &mut Export,
    ) -> Result<Option<Vec<DeliveryRecord>>, Problem> {
        if !export.goes_on || export.left == 0 {
            return Ok(None);
        }
        export.query.limit = export.query.limit.min(export.left);
        let page = self.deliveries(caller, export.query.clone());
        let page = tokio::time::timeout(PATIENCE, page).await;
        let slow = |_| WebhookError::StorageError("a page of an export took too long".into());
        let page = page.map_err(slow)??;
        export.left -= page.items.len().min(export.left);
        export.goes_on = page.next.is_some();
        export.query.before = page.next;
        Ok(Some(page.items))
    }
}

/// Deliveries of one page, so that their payloads fit into memory.
pub(super) fn page_limit(max_body_bytes: usize) -> usize {
    (PAGE_BYTES / max_body_bytes.max(1)).clamp(1, PAGE)
}

impl Export {
    /// Whether all that matches was read.
    pub(crate) const fn is_complete(&self) -> bool {
        !self.goes_on
    }
}
