//! The tower layer, with bodies that are huge, lie about their length, drip, or break off.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/frames.rs"]
mod frames;
mod support;

use std::convert::Infallible;
use std::future::{Ready, poll_fn, ready};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tower_layer::Layer;
use tower_service::Service;
use webhooks_receiver::{IncomingWebhook, SignatureError, VerifyWebhookLayer};

use frames::{FRAME, Frames};
use support::{BODY, headers, receiver};

/// Responds with the event's id and the bytes it got.
#[derive(Clone)]
struct Echo;

impl Service<Request<Full<Bytes>>> for Echo {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let id = request
            .extensions()
            .get::<IncomingWebhook>()
            .unwrap()
            .id
            .clone();
        let mut response = Response::new(request.into_body());
        response.headers_mut().insert("x-id", id.parse().unwrap());
        ready(Ok(response))
    }
}

async fn call(headers: HeaderMap, body: Frames) -> Response<Full<Bytes>> {
    let mut service = VerifyWebhookLayer::new(receiver()).layer(Echo);
    poll_fn(|cx| Service::<Request<Frames>>::poll_ready(&mut service, cx))
        .await
        .unwrap();
    let mut request = Request::new(body);
    *request.headers_mut() = headers;
    service.call(request).await.unwrap()
}

async fn bytes(response: Response<Full<Bytes>>) -> Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}

#[tokio::test]
async fn a_verified_request_goes_on_with_the_same_bytes() {
    let response = call(headers(BODY), Frames::of(BODY)).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["x-id"], "webhook_1");
    assert_eq!(bytes(response).await, BODY);
}

#[tokio::test]
async fn a_body_that_drips_is_put_together() {
    let response = call(headers(BODY), Frames::dripping(BODY)).await;
    assert_eq!(bytes(response).await, BODY);
}

#[tokio::test]
async fn every_refused_signature_gets_the_same_bare_401() {
    let mut none = headers(BODY);
    none.remove("x-webhook-signature");
    let mut garbage = headers(BODY);
    garbage.insert("x-webhook-signature", "garbage".parse().unwrap());
    for (headers, reason) in [
        (none, SignatureError::MissingHeader),
        (garbage, SignatureError::MalformedHeader),
        (headers(b"other"), SignatureError::SignatureMismatch),
    ] {
        let response = call(headers, Frames::of(BODY)).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert!(response.headers().is_empty());
        assert_eq!(response.extensions().get(), Some(&reason));
        assert_eq!(bytes(response).await, "");
    }
}

#[tokio::test]
async fn without_a_signature_the_body_is_not_read() {
    let (body, read) = Frames::endless();
    let response = call(HeaderMap::new(), body).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(read.bytes(), 0);
}

#[tokio::test]
async fn an_endless_body_is_read_up_to_the_limit_and_no_further() {
    for length in [None, Some("7"), Some("-1"), Some("garbage")] {
        let (body, read) = Frames::endless();
        let mut headers = headers(BODY);
        if let Some(length) = length {
            headers.insert("content-length", length.parse().unwrap());
        }
        let response = call(headers, body).await;
        assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
        assert!(read.bytes() <= support::MAX_BODY + FRAME);
    }
}

#[tokio::test]
async fn a_length_over_the_limit_is_refused_before_reading() {
    let (body, read) = Frames::endless();
    let mut headers = headers(BODY);
    headers.insert("content-length", u64::MAX.to_string().parse().unwrap());
    let response = call(headers, body).await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(read.bytes(), 0);
}

#[tokio::test]
async fn a_body_that_breaks_off_and_a_signed_text_that_is_no_webhook_are_400() {
    let response = call(headers(BODY), Frames::broken(BODY)).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let response = call(headers(b"[]"), Frames::of(b"[]")).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert_eq!(bytes(response).await, "");
}
