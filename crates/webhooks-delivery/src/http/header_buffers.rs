//! Where the headers of a connection's requests are written.

use bytes::BytesMut;
use http::HeaderMap;

/// The most headers that an unused connection has room for.
const MAX_HEADERS: usize = 64;

/// Where the headers of a connection's requests are written: what one request had is used by the
/// next, so that it is not allocated anew for each.
#[derive(Debug, Default)]
pub(crate) struct HeaderBuffers {
    /// Empty between two requests.
    pub(crate) headers: HeaderMap,
    /// Values are cut off its front; once they are gone it begins from there again.
    pub(crate) values: BytesMut,
}

impl HeaderBuffers {
    /// Takes the headers of a response back, since hyper puts them where the request's were.
    pub(crate) fn keep(&mut self, mut headers: HeaderMap) {
        headers.clear();
        if headers.capacity() <= MAX_HEADERS {
            self.headers = headers;
        }
    }
}
