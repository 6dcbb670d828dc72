//! What a response, or the lack of one, means.

use std::error::Error;
use std::io;

use http::StatusCode;
use webhooks_core::{FailureKind, Outcome, WebhookEndpoint};

use crate::http::network::ResponseTooLong;

/// What the status of a response means, where the endpoint accepts what it says it does.
pub(crate) fn by_status(endpoint: &WebhookEndpoint, status: StatusCode) -> Outcome {
    if endpoint.accepts(status.as_u16()) {
        return Outcome::Delivered;
    }
    Outcome::Failed(match status.as_u16() {
        300..=399 => FailureKind::Redirect,
        410 => FailureKind::Gone,
        413 | 431 => FailureKind::TooLarge,
        429 => FailureKind::TooManyRequests,
        400..=499 => FailureKind::ClientError,
        500..=599 => FailureKind::ServerError,
        // A switch of protocols that nobody asked for, or no class of HTTP.
        _ => FailureKind::MalformedResponse,
    })
}

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

    #[test]
    fn every_status_has_the_meaning_of_its_class_or_its_own() {
        let kind = |endpoint: &WebhookEndpoint, status| match by_status(
            endpoint,
            StatusCode::from_u16(status).unwrap(),
        ) {
            Outcome::Delivered => None,
            Outcome::Failed(kind) => Some(kind),
        };
        let (plain, own) = (
            WebhookEndpoint::default(),
            WebhookEndpoint {
                accepted_statuses: vec![302, 409, 503],
                ..WebhookEndpoint::default()
            },
        );
        assert_eq!([302, 409, 503].map(|status| kind(&own, status)), [None; 3]);
        assert_eq!(kind(&own, 303), Some(FailureKind::Redirect));
        for (status, expected) in [
            (101, Some(FailureKind::MalformedResponse)),
            (200, None),
            (299, None),
            (300, Some(FailureKind::Redirect)),
            (304, Some(FailureKind::Redirect)),
            (400, Some(FailureKind::ClientError)),
            (408, Some(FailureKind::ClientError)),
            (410, Some(FailureKind::Gone)),
            (413, Some(FailureKind::TooLarge)),
            (429, Some(FailureKind::TooManyRequests)),
            (431, Some(FailureKind::TooLarge)),
            (500, Some(FailureKind::ServerError)),
            (599, Some(FailureKind::ServerError)),
            (600, Some(FailureKind::MalformedResponse)),
        ] {
            assert_eq!(kind(&plain, status), expected, "{status}");
        }
    }
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
