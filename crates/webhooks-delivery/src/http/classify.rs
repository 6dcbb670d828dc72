//! What the lack of a response means.
//!
//! A request whose connection was open may have reached the endpoint, whatever went wrong
//! afterwards. So each such failure is an attempt, and a retry under the same ids may be the second
//! that the receiver sees.

use std::error::Error;
use std::io;

use webhooks_core::FailureKind;

use crate::http::network::ResponseTooLong;

/// What the failure of a connection that was open means.
///
/// None is permanent: a request that cannot be built never gets this far. Where the library blames
/// its user, the task of the connection is gone, as when a runtime shuts down.
pub(crate) fn by_error(error: &hyper::Error) -> FailureKind {
    if error.is_parse() {
        return FailureKind::MalformedResponse;
    }
    let cause = error.source().and_then(|s| s.downcast_ref::<io::Error>());
    match cause.and_then(io::Error::get_ref) {
        // A refused client certificate shows only once the first response is read.
        Some(cause) if cause.is::<rustls::Error>() => FailureKind::Tls,
        Some(cause) if cause.is::<ResponseTooLong>() => FailureKind::MalformedResponse,
        _ => FailureKind::Reset,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_whose_task_is_gone_is_lost_and_its_request_can_be_sent_again() {
        let (near, mut far) = tokio::io::duplex(1_024);
        let near = hyper_util::rt::TokioIo::new(near);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(near).await.unwrap();
        let task = tokio::spawn(connection);
        let request = http::Request::new(http_body_util::Empty::<bytes::Bytes>::new());
        let response = tokio::spawn(sender.send_request(request));
        // The request is on its way.
        tokio::io::AsyncReadExt::read_u8(&mut far).await.unwrap();
        task.abort();
        let error = response.await.unwrap().unwrap_err();
        assert_eq!(by_error(&error), FailureKind::Reset, "{error:?}");
    }
}
