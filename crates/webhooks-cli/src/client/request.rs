//! A request of the API, before it is known who answers it.

use axum::body::Body;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::Serialize;
use url::Url;

use crate::failure::Failure;

/// A request: a method, a path under `/api/v1`, and what goes with it.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// What is done.
    method: Method,
    /// Segments of the path, as they are before they are encoded.
    path: Vec<String>,
    /// Parameters, as they are before they are encoded.
    query: Vec<(String, String)>,
    /// Without the key, which whoever sends it adds.
    headers: HeaderMap,
    /// Empty for most.
    body: Bytes,
}

impl Request {
    /// A request with this method, of these segments of a path.
    pub(crate) fn new<const N: usize>(method: Method, path: [&str; N]) -> Self {
        Self {
            method,
            path: path.map(str::to_owned).into(),
            query: Vec::new(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    /// A `GET`.
    pub(crate) fn get<const N: usize>(path: [&str; N]) -> Self {
        Self::new(Method::GET, path)
    }

    /// A `POST`.
    pub(crate) fn post<const N: usize>(path: [&str; N]) -> Self {
        Self::new(Method::POST, path)
    }

    /// With a parameter.
    pub(crate) fn query(mut self, name: &str, value: impl ToString) -> Self {
        self.query.push((name.to_owned(), value.to_string()));
        self
    }

    /// With a parameter, if there is a value.
    pub(crate) fn maybe(self, name: &str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.query(name, value),
            None => self,
        }
    }

    /// With a parameter for each value.
    pub(crate) fn each(self, name: &str, values: &[impl ToString]) -> Self {
        values.iter().fold(self, |request, value| {
            request.query(name, value.to_string())
        })
    }

    /// With a body.
    pub(crate) fn json(self, value: &impl Serialize) -> Result<Self, Failure> {
        let body = serde_json::to_vec(value)
            .map_err(|error| Failure::usage(format!("the request cannot be written: {error}")))?;
        Ok(self.body("application/json", body))
    }

    /// With a body of this type.
    pub(crate) fn body(mut self, of: &'static str, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self.headers
            .insert(CONTENT_TYPE, HeaderValue::from_static(of));
        self
    }

    /// With a header.
    pub(crate) fn header(mut self, name: HeaderName, value: &str) -> Result<Self, Failure> {
        let read = HeaderValue::from_str(value);
        let refused = |_| Failure::usage(format!("{name} has characters that it may not"));
        let value = read.map_err(refused)?;
        self.headers.insert(name, value);
        Ok(self)
    }

    /// Only while the thing is as it was when it had this `ETag`.
    pub(crate) fn if_match(mut self, etag: HeaderValue) -> Self {
        self.headers.insert(IF_MATCH, etag);
        self
    }

    /// Only if there is no such thing.
    pub(crate) fn if_absent(mut self) -> Self {
        self.headers
            .insert(IF_NONE_MATCH, HeaderValue::from_static("*"));
        self
    }

    /// As it goes out, under the address of the API.
    ///
    /// # Errors
    ///
    /// A segment that would lead to another route: an id comes from the person, and may be anything.
    pub(crate) fn under(self, base: &Url) -> Result<http::Request<Bytes>, Failure> {
        let mut url = base.clone();
        {
            let unusable = |()| Failure::usage("the server's URL has no path");
            let mut segments = url.path_segments_mut().map_err(unusable)?;
            segments.pop_if_empty();
            for segment in &self.path {
                // It would name another route than the one that is meant.
                if matches!(segment.as_str(), "" | "." | "..") {
                    return Err(Failure::usage(format!("{segment:?} is no id")));
                }
                segments.push(segment);
            }
        }
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        let mut request = http::Request::new(self.body);
        *request.method_mut() = self.method;
        let uri = url.as_str().parse();
        *request.uri_mut() =
            uri.map_err(|_| Failure::usage("the request makes no URL, it may be too long"))?;
        *request.headers_mut() = self.headers;
        Ok(request)
    }
}

/// The request for a router of this process.
pub(super) fn with_body(request: http::Request<Bytes>) -> http::Request<Body> {
    request.map(Body::from)
}
