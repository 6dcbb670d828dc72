//! A listing, page after page.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::client::{Client, Request};
use crate::failure::Failure;

/// Items of one page at most.
const PAGE: usize = 200;

/// A listing that is read page by page, up to a number of items.
pub(crate) struct Pages<'a> {
    client: &'a Client,
    /// What is asked for, without `limit` and `cursor`.
    request: Request,
    /// Items that are still wanted; none means all.
    wanted: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// There is no page behind the last one.
    is_over: bool,
}

/// A page as the API answers it.
#[derive(Deserialize)]
struct Page {
    items: Vec<Box<RawValue>>,
    next: Option<String>,
}

impl<'a> Pages<'a> {
    /// The listing that this request begins.
    pub(crate) const fn new(client: &'a Client, request: Request, wanted: Option<usize>) -> Self {
        Self {
            client,
            request,
            wanted,
            cursor: None,
            is_over: false,
        }
    }

    /// The items of the next page, as they came; none behind the last one. A page may be empty.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Box<RawValue>>>, Failure> {
        if self.is_over || self.wanted == Some(0) {
            return Ok(None);
        }
        let limit = self.wanted.unwrap_or(PAGE).min(PAGE);
        let request = self.request.clone().query("limit", limit);
        let request = request.maybe("cursor", self.cursor.take());
        let mut page: Page = self.client.send(request).await?.read()?;
        if let Some(wanted) = &mut self.wanted {
            page.items.truncate(*wanted);
            *wanted -= page.items.len();
        }
        self.is_over = page.next.is_none();
        self.cursor = page.next;
        Ok(Some(page.items))
    }

    /// Whether there may be more than what was wanted.
    pub(crate) const fn has_more(&self) -> bool {
        !self.is_over
    }
}
