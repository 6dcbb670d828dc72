//! What is asked for behind the path.

use axum::extract::FromRequestParts;
use http::request::Parts;
use serde::de::DeserializeOwned;
use serde::de::value::{Error as ValueError, StrDeserializer};

use super::cursor::Filter;
use super::state::Api;
use crate::problem::Problem;

/// Parameters of a query. One that there is not is refused: a filter that was mistyped must not
/// widen what is done.
#[derive(Debug)]
pub(super) struct Query<T> {
    pub(super) of: T,
    /// What the pages of one listing have in common.
    pub(super) filter: Filter,
}

impl<T: DeserializeOwned> FromRequestParts<Api> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        let of = serde_html_form::from_str(query)
            .map_err(|error| Problem::malformed(format!("the query: {error}")))?;
        let filter = Filter::of(parts.uri.path(), query);
        Ok(Self { of, filter })
    }
}

/// The words of a parameter that takes several: repeated, or with commas between them.
pub(super) fn words<T: DeserializeOwned>(name: &str, values: &[String]) -> Result<Vec<T>, Problem> {
    let words = values.iter().flat_map(|value| value.split(','));
    let read = |word: &str| {
        let word = StrDeserializer::<ValueError>::new(word);
        T::deserialize(word).map_err(|error| Problem::malformed(format!("{name}: {error}")))
    };
    words.map(read).collect()
}

/// The number of items of a page that was asked for.
pub(super) fn limit(asked: Option<usize>) -> Result<usize, Problem> {
    const MOST: usize = 200;
    const DEFAULT: usize = 50;
    let limit = asked.unwrap_or(DEFAULT);
    if (1..=MOST).contains(&limit) {
        return Ok(limit);
    }
    Err(Problem::malformed(format!(
        "limit is {limit}, it needs 1 to {MOST}"
    )))
}
