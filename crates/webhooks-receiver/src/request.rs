//! Reads and verifies a whole request, for the frameworks.

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Response};
use http_body::Body;
use http_body_util::BodyExt;
use webhooks_core::{Detail, WebhookError};

use crate::{IncomingWebhook, ReceiveError, WebhookReceiver};

/// Refuses what its headers can refuse, reads the body up to the cap, and verifies it.
pub(crate) async fn receive<B: Body>(
    receiver: &WebhookReceiver,
    headers: &HeaderMap,
    body: B,
) -> Result<(IncomingWebhook, Bytes), ReceiveError> {
    let presented = receiver.presented(headers)?;
    let body = read(headers, body, receiver.max_body()).await?;
    let webhook = receiver.finish(&presented, &body)?;
    Ok((webhook, body))
}

/// The response to a refused request: its status and nothing else. A refused signature's reason
/// stands in the response's extensions, where the server's own logging can find it.
pub(crate) fn refusal<B: Default>(error: &ReceiveError) -> Response<B> {
    let mut response = Response::new(B::default());
    *response.status_mut() = error.status();
    if let ReceiveError::Signature(reason) = error {
        response.extensions_mut().insert(*reason);
    }
    response
}

/// Copies the frames together, because each of many small ones would keep a buffer of its own.
async fn read<B: Body>(headers: &HeaderMap, body: B, limit: usize) -> Result<Bytes, ReceiveError> {
    let too_large = ReceiveError::BodyTooLarge { limit };
    // A length that lies is believed only to refuse; what is read is counted.
    if declared_length(headers).max(body.size_hint().lower()) > limit as u64 {
        return Err(too_large);
    }
    let mut bytes = Vec::new();
    let mut body = std::pin::pin!(body);
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return Err(unreadable());
        };
        let Ok(mut data) = frame.into_data() else {
            continue;
        };
        if bytes.len().saturating_add(bytes::Buf::remaining(&data)) > limit {
            return Err(too_large);
        }
        bytes::BufMut::put(&mut bytes, &mut data);
    }
    Ok(bytes.into())
}

fn declared_length(headers: &HeaderMap) -> u64 {
    let length = headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok());
    length.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn unreadable() -> ReceiveError {
    let detail = Detail::from("the body could not be read to its end");
    ReceiveError::Body(WebhookError::SerializationError(detail))
}
