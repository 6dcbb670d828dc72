//! The axum extractor, and the tower layer inside an axum router.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/frames.rs"]
mod frames;
mod support;

use std::future::poll_fn;

use axum::Router;
use axum::body::Body;
use axum::extract::FromRef;
use axum::response::Response;
use axum::routing::post;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use tower_service::Service;
use webhooks_receiver::{SignatureError, VerifiedWebhook, WebhookReceiver};

use frames::{FRAME, Frames};
use support::{BODY, headers, receiver};

#[derive(Clone)]
struct App {
    receiver: WebhookReceiver,
}

impl FromRef<App> for WebhookReceiver {
    fn from_ref(app: &App) -> Self {
        app.receiver.clone()
    }
}

async fn handle(VerifiedWebhook(webhook): VerifiedWebhook) -> String {
    webhook.id
}

async fn call(headers: HeaderMap, body: Frames) -> Response {
    let app = App {
        receiver: receiver(),
    };
    let router = Router::new().route("/", post(handle)).with_state(app);
    send(router, headers, body).await
}

async fn send(mut router: Router, headers: HeaderMap, body: Frames) -> Response {
    poll_fn(|cx| Service::<Request<Body>>::poll_ready(&mut router, cx))
        .await
        .unwrap();
    let mut request = Request::post("/").body(Body::new(body)).unwrap();
    *request.headers_mut() = headers;
    router.call(request).await.unwrap()
}

async fn text(response: Response) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.into()).unwrap()
}

#[tokio::test]
async fn a_verified_webhook_is_extracted() {
    for body in [Frames::of(BODY), Frames::dripping(BODY)] {
        let response = call(headers(BODY), body).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(text(response).await, "webhook_1");
    }
}

#[tokio::test]
async fn a_refused_signature_is_a_bare_401_whose_reason_is_for_logs() {
    let response = call(headers(b"other"), Frames::of(BODY)).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    let reason = response.extensions().get::<SignatureError>();
    assert_eq!(reason, Some(&SignatureError::SignatureMismatch));
    assert_eq!(text(response).await, "");
}

#[tokio::test]
async fn an_endless_body_is_413_after_the_limit() {
    let (body, read) = Frames::endless();
    let response = call(headers(BODY), body).await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert!(read.bytes() <= support::MAX_BODY + FRAME);
}

#[tokio::test]
async fn what_breaks_off_or_is_no_webhook_is_400() {
    let response = call(headers(BODY), Frames::broken(BODY)).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let response = call(headers(b"[]"), Frames::of(b"[]")).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
}

#[cfg(feature = "tower")]
#[tokio::test]
async fn the_tower_layer_fits_a_router() {
    use axum::Extension;
    use webhooks_receiver::{IncomingWebhook, VerifyWebhookLayer};

    async fn echo(Extension(webhook): Extension<IncomingWebhook>, body: String) -> String {
        format!("{} {body}", webhook.id)
    }
    let layer = VerifyWebhookLayer::new(receiver());
    let router: Router = Router::new().route("/", post(echo)).layer(layer);
    let response = send(router.clone(), headers(BODY), Frames::of(BODY)).await;
    let sent = std::str::from_utf8(BODY).unwrap();
    assert_eq!(text(response).await, format!("webhook_1 {sent}"));
    let response = send(router, headers(b"other"), Frames::of(BODY)).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
}
