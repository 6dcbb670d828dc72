//! A whole answer of the API.

use bytes::Bytes;
use http::header::ETAG;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::failure::Failure;

/// An answer that is not a problem.
#[derive(Debug)]
pub(crate) struct Reply {
    /// Always one of success.
    pub(crate) status: StatusCode,
    /// With the `ETag`, where there is one.
    pub(crate) headers: HeaderMap,
    /// Empty, or JSON of a shape of the API.
    pub(crate) body: Bytes,
}

impl Reply {
    /// What the body says.
    ///
    /// # Errors
    ///
    /// A body that the API does not answer: something else answers under that address.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body).map_err(|_| {
            let status = self.status;
            Failure::not_understood(format!(
                "what answers ({status}) does not speak this API; is the URL right?"
            ))
        })
    }

    /// The body, of whatever shape.
    pub(crate) fn value(&self) -> Result<Value, Failure> {
        self.read()
    }

    /// The revision of what was answered, to be named when it is changed.
    pub(crate) fn etag(&self) -> Result<HeaderValue, Failure> {
        let etag = self.headers.get(ETAG).cloned();
        etag.ok_or_else(|| Failure::not_understood("the answer has no ETag"))
    }
}
