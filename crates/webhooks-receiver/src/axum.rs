//! An axum extractor.

use axum_core::body::Body;
use axum_core::extract::{FromRef, FromRequest, Request};
use axum_core::response::{IntoResponse, Response};

use crate::{IncomingWebhook, ReceiveError, WebhookReceiver, request};

/// Extracts a webhook whose signature was verified, with the [`WebhookReceiver`] in the router's
/// state.
///
/// The signature headers are checked before the body is read, and the body is read up to
/// [`WebhookReceiver::max_body`]. A request that is refused gets a bare 401, 413 or
/// 400; for a refused signature the [`SignatureError`](crate::SignatureError) is in the response's
/// extensions, for logs and metrics.
///
/// ```
/// # use axum::{Router, http::StatusCode, http::header::CONTENT_TYPE, routing::post};
/// # use axum::response::{IntoResponse, Response};
/// # use webhooks_receiver::{VerifiedWebhook, WebhookReceiver};
/// async fn handle(VerifiedWebhook(webhook): VerifiedWebhook) -> Response {
///     // The sender asks whether its webhooks are wanted here.
///     if let Some(response) = webhook.challenge_response() {
///         return ([(CONTENT_TYPE, "application/json")], response).into_response();
///     }
///     for event in webhook.into_events() {
///         // Handle it, once per `event.id`.
///     }
///     StatusCode::NO_CONTENT.into_response()
/// }
///
/// let app: Router = Router::new()
///     .route("/webhooks", post(handle))
///     .with_state(WebhookReceiver::new("secret"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedWebhook(pub IncomingWebhook);

impl<S> FromRequest<S> for VerifiedWebhook
where
    S: Send + Sync,
    WebhookReceiver: FromRef<S>,
{
    type Rejection = ReceiveError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ReceiveError> {
        let receiver = WebhookReceiver::from_ref(state);
        let (parts, body) = request.into_parts();
        let (webhook, _) = request::receive(&receiver, &parts.headers, body).await?;
        Ok(Self(webhook))
    }
}

impl IntoResponse for ReceiveError {
    fn into_response(self) -> Response {
        request::refusal::<Body>(&self)
    }
}
