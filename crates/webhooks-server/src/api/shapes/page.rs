//! A page of a listing.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::LINK;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::cursor::Filter;

/// A page of a listing. It may be empty and not the last one.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct PageView<T> {
    /// What is on it.
    pub(in crate::api) items: Vec<T>,
    /// The `cursor` of the next page, if there may be one.
    pub(in crate::api) next: Option<String>,
    /// Of a search in data: whether it went on until the page was full or everything was looked at. It stops
    /// after 100,000 deliveries, or some seconds; `next` goes on from there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    pub(in crate::api) complete: Option<bool>,
    /// Where that is.
    #[serde(skip)]
    #[schema(ignore)]
    link: Option<String>,
}

impl<T> PageView<T> {
    /// A page behind which the item with this id comes next.
    pub(in crate::api) fn new(items: Vec<T>, filter: &Filter, next: Option<&str>) -> Self {
        let next = next.map(|id| filter.cursor(id));
        let link = next.as_ref().map(|next| filter.link(next));
        Self {
            items,
            next,
            complete: None,
            link,
        }
    }
}

impl<T: Serialize> IntoResponse for PageView<T> {
    fn into_response(self) -> Response {
        let link = self
            .link
            .as_ref()
            .map(|link| format!("<{link}>; rel=\"next\""));
        let link = link.and_then(|link| HeaderValue::from_str(&link).ok());
        let mut response = Json(self).into_response();
        if let Some(link) = link {
            response.headers_mut().insert(LINK, link);
        }
        response
    }
}
