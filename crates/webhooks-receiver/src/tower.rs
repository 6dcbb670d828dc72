//! A tower layer that lets only verified requests through.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tower_layer::Layer;
use tower_service::Service;

use crate::{WebhookReceiver, request};

/// Lets only verified webhooks through to a service.
///
/// The signature headers are checked before the body is read, the body is read up to
/// [`WebhookReceiver::max_body`], verified and parsed. The service gets the request with the same
/// bytes as its body and the [`IncomingWebhook`](crate::IncomingWebhook) in its extensions. All
/// other requests get a bare 401, 413 or 400; for a refused signature the
/// [`SignatureError`](crate::SignatureError) is in the response's extensions, for logs and metrics.
///
/// The service answers a `webhook.ping`, by which the sender asks whether its webhooks are wanted:
///
/// ```
/// # use bytes::Bytes;
/// # use http::{Request, Response};
/// # use http_body_util::Full;
/// # use webhooks_receiver::IncomingWebhook;
/// async fn handle(request: Request<Full<Bytes>>) -> Response<Full<Bytes>> {
///     let webhook = request.extensions().get::<IncomingWebhook>();
///     if let Some(response) = webhook.and_then(IncomingWebhook::challenge_response) {
///         return Response::new(response.into());
///     }
///     // Handle it.
///     Response::new(Full::default())
/// }
/// ```
///
/// A deadline for slow bodies is the server's business.
#[derive(Clone, Debug)]
pub struct VerifyWebhookLayer {
    receiver: WebhookReceiver,
}

impl VerifyWebhookLayer {
    /// A layer that verifies with this receiver.
    #[must_use]
    pub const fn new(receiver: WebhookReceiver) -> Self {
        Self { receiver }
    }
}

impl<S> Layer<S> for VerifyWebhookLayer {
    type Service = VerifyWebhook<S>;

    fn layer(&self, inner: S) -> VerifyWebhook<S> {
        VerifyWebhook {
            receiver: self.receiver.clone(),
            inner,
        }
    }
}

/// A service behind a [`VerifyWebhookLayer`].
#[derive(Clone, Debug)]
pub struct VerifyWebhook<S> {
    receiver: WebhookReceiver,
    inner: S,
}

impl<S, In, Out> Service<Request<In>> for VerifyWebhook<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<Out>> + Clone + Send + 'static,
    S::Future: Send,
    In: Body + Send + 'static,
    In::Data: Send,
    In::Error: Send,
    Out: Default,
{
    type Response = Response<Out>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Out>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<In>) -> Self::Future {
        // The service that was polled ready is the one to be called; its clone may not be ready.
        let next = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, next);
        let receiver = self.receiver.clone();
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            match request::receive(&receiver, &parts.headers, body).await {
                Ok((webhook, body)) => {
                    parts.extensions.insert(webhook);
                    let request = Request::from_parts(parts, Full::new(body));
                    inner.call(request).await
                }
                Err(error) => Ok(request::refusal(&error)),
            }
        })
    }
}
