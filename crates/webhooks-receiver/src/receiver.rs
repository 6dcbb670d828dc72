//! The receiver: secrets, tolerance and the order in which a request is checked.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName};
#[cfg(feature = "ed25519")]
use webhooks_core::Ed25519PublicKey;
use webhooks_core::{Result, SIGNATURE_HEADER, Secret, SigningKey, StandardKey, WebhookError};

use crate::presented::{Key, MAX_HEADER, Presented, SecretKey, only_line};
use crate::{IncomingWebhook, RawWebhook, ReceiveError, SignatureError};
use crate::{clock, standard_headers, timestamped_header};

/// How far a signature's time may lie from the receiver's, either way, unless set otherwise.
pub const DEFAULT_TOLERANCE: Duration = Duration::from_secs(300);
/// The longest body in bytes, unless set otherwise: 1 MiB.
pub const DEFAULT_MAX_BODY: usize = 1 << 20;

const SIGNATURE: HeaderName = HeaderName::from_static(SIGNATURE_HEADER);

/// Verifies and parses incoming webhooks.
///
/// Two schemes are verified:
///
/// - `X-Webhook-Signature: t=<unix seconds>,v1=<hex>`. Any secret that is not empty works, by its
///   UTF-8 bytes, a `whsec_...` one too.
/// - Standard Webhooks v1 (`webhook-id`, `webhook-timestamp`, `webhook-signature`), with those
///   secrets that are `whsec_` and the Base64 of a key, and, with the feature `ed25519`, with public
///   keys, `whpk_` and Base64. A public key verifies nothing else.
///
/// A request that has an `X-Webhook-Signature` is judged by it alone, whatever it holds and whatever
/// stands beside it; only without one do the Standard Webhooks headers count. So nobody can weaken
/// one scheme by adding the headers of the other.
///
/// It is cheap to clone, keeps its secrets only as keyed HMAC states, wiped when the last clone is
/// dropped, and shows none of them in `Debug`.
#[derive(Clone)]
pub struct WebhookReceiver {
    keys: Arc<[Key]>,
    tolerance: Duration,
    max_body: usize,
}

impl WebhookReceiver {
    /// A receiver with one secret or public key. An empty one verifies nothing, nor does what starts
    /// with `whpk_` and is no public key, or is one without the feature `ed25519`: as a secret,
    /// everybody who knows it could sign.
    ///
    /// ```
    /// use webhooks_receiver::WebhookReceiver;
    ///
    /// let receiver = WebhookReceiver::new("webhook_secret");
    /// ```
    #[must_use]
    pub fn new(secret: impl Into<String>) -> Self {
        Self {
            keys: keys([secret]),
            tolerance: DEFAULT_TOLERANCE,
            max_body: DEFAULT_MAX_BODY,
        }
    }

    /// Replaces the secrets and public keys, each of which verifies: the new one and the old one while a secret is
    /// being rotated. Those that verify nothing are left out.
    ///
    /// ```
    /// use webhooks_receiver::WebhookReceiver;
    ///
    /// let receiver = WebhookReceiver::new("webhook_secret").with_secrets(["newer", "webhook_secret"]);
    /// ```
    #[must_use]
    pub fn with_secrets(mut self, secrets: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.keys = keys(secrets);
        self
    }

    /// How far a signature's time may lie from the receiver's, either way, in whole seconds (parts
    /// are dropped). Defaults to [`DEFAULT_TOLERANCE`].
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use webhooks_receiver::WebhookReceiver;
    ///
    /// let receiver = WebhookReceiver::new("webhook_secret").with_tolerance(Duration::from_secs(60));
    /// ```
    #[must_use]
    pub const fn with_tolerance(mut self, tolerance: Duration) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// The longest body, in bytes, that is read, received or parsed. Defaults to
    /// [`DEFAULT_MAX_BODY`]; a sender that batches may send up to 16 MiB and an envelope.
    ///
    /// ```
    /// use webhooks_receiver::WebhookReceiver;
    ///
    /// let receiver = WebhookReceiver::new("webhook_secret").with_max_body(16 << 10);
    /// assert_eq!(receiver.max_body(), 16_384);
    /// ```
    #[must_use]
    pub const fn with_max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// The longest body, in bytes: what a server should read at most.
    ///
    /// ```
    /// use webhooks_receiver::{DEFAULT_MAX_BODY, WebhookReceiver};
    ///
    /// assert_eq!(WebhookReceiver::new("webhook_secret").max_body(), DEFAULT_MAX_BODY);
    /// ```
    #[must_use]
    pub const fn max_body(&self) -> usize {
        self.max_body
    }

    /// Verifies and parses in one step: what a consumer should call.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let body = br#"{"id":"webhook_1","event":"user.created","timestamp":"2023-11-14T22:13:20.000Z","data":{"user_id":"123"},"version":"1.0"}"#;
    /// # let now = i64::try_from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs())?;
    /// # let key = webhooks_core::SigningKey::new(b"webhook_secret");
    /// # let signature = webhooks_core::signature_header([&key], now, body);
    /// # let mut headers = http::HeaderMap::new();
    /// # headers.insert("x-webhook-signature", signature.parse()?);
    /// use webhooks_receiver::WebhookReceiver;
    ///
    /// let receiver = WebhookReceiver::new("webhook_secret");
    /// let webhook = receiver.receive(&headers, body)?;
    /// assert_eq!(webhook.data["user_id"], "123");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ReceiveError::BodyTooLarge`] before anything is hashed, [`ReceiveError::Signature`] before
    /// anything is parsed, and [`ReceiveError::Body`] when what was signed is not a webhook.
    pub fn receive(
        &self,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<IncomingWebhook, ReceiveError> {
        let presented = self.presented(headers)?;
        self.finish(&presented, body)
    }

    /// As [`receive`](Self::receive), with the data as it came, to the byte.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let body = br#"{"id":"webhook_1","event":"user.created","timestamp":"2023-11-14T22:13:20.000Z","data":{"user_id":"123"},"version":"1.0"}"#;
    /// # let now = i64::try_from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs())?;
    /// # let key = webhooks_core::SigningKey::new(b"webhook_secret");
    /// # let signature = webhooks_core::signature_header([&key], now, body);
    /// # let mut headers = http::HeaderMap::new();
    /// # headers.insert("x-webhook-signature", signature.parse()?);
    /// use webhooks_receiver::WebhookReceiver;
    ///
    /// let receiver = WebhookReceiver::new("webhook_secret");
    /// let webhook = receiver.receive_raw(&headers, body)?;
    /// assert_eq!(webhook.data.get(), r#"{"user_id":"123"}"#);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive), but the data may be nested without bound and hold escapes
    /// that are no Unicode.
    pub fn receive_raw<'a>(
        &self,
        headers: &HeaderMap,
        body: &'a [u8],
    ) -> Result<RawWebhook<'a>, ReceiveError> {
        let presented = self.presented(headers)?;
        self.check(&presented, body)?;
        RawWebhook::parse(body).map_err(ReceiveError::Body)
    }

    /// Verifies the signature of the raw body at the time of the wall clock.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let body = br#"{"id":"webhook_1","event":"user.created","timestamp":"2023-11-14T22:13:20.000Z","data":{"user_id":"123"},"version":"1.0"}"#;
    /// # let now = i64::try_from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs())?;
    /// # let key = webhooks_core::SigningKey::new(b"webhook_secret");
    /// # let signature = webhooks_core::signature_header([&key], now, body);
    /// # let mut headers = http::HeaderMap::new();
    /// # headers.insert("x-webhook-signature", signature.parse()?);
    /// use webhooks_receiver::WebhookReceiver;
    ///
    /// let receiver = WebhookReceiver::new("webhook_secret");
    /// receiver.verify(&headers, body)?;
    ///
    /// let error = receiver.verify(&headers, b"{}").unwrap_err();
    /// assert_eq!(error.code(), "signature_mismatch");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The first reason to refuse it, in the order of [`SignatureError`].
    pub fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), SignatureError> {
        self.verify_at(headers, body, clock::now().as_secs())
    }

    /// Verifies the signature of the raw body at a given time.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let body = br#"{"id":"webhook_1","event":"user.created","timestamp":"2023-11-14T22:13:20.000Z","data":{"user_id":"123"},"version":"1.0"}"#;
    /// # let now = 1_700_000_000;
    /// # let key = webhooks_core::SigningKey::new(b"webhook_secret");
    /// # let signature = webhooks_core::signature_header([&key], now, body);
    /// # let mut headers = http::HeaderMap::new();
    /// # headers.insert("x-webhook-signature", signature.parse()?);
    /// use webhooks_receiver::WebhookReceiver;
    ///
    /// let receiver = WebhookReceiver::new("webhook_secret");
    /// receiver.verify_at(&headers, body, 1_700_000_000)?;
    /// assert!(receiver.verify_at(&headers, body, 1_800_000_000).is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`WebhookReceiver::verify`].
    pub fn verify_at(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now_unix_seconds: i64,
    ) -> Result<(), SignatureError> {
        self.presented_at(headers, now_unix_seconds)?
            .check_body(&self.keys, body)
    }

    /// Whether the signature of the raw body is good: `false` when it was made with another secret,
    /// over other bytes, or at a time outside the tolerance.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let body = br#"{"id":"webhook_1","event":"user.created","timestamp":"2023-11-14T22:13:20.000Z","data":{"user_id":"123"},"version":"1.0"}"#;
    /// # let now = i64::try_from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs())?;
    /// # let key = webhooks_core::SigningKey::new(b"webhook_secret");
    /// # let signature = webhooks_core::signature_header([&key], now, body);
    /// # let mut headers = http::HeaderMap::new();
    /// # headers.insert("x-webhook-signature", signature.parse()?);
    /// use webhooks_receiver::WebhookReceiver;
    ///
    /// let receiver = WebhookReceiver::new("webhook_secret");
    /// assert!(receiver.verify_signature(&headers, body)?);
    /// assert!(!receiver.verify_signature(&headers, b"{}")?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`WebhookError::InvalidSignature`] for every other refusal: there is no header, a malformed
    /// one, or no secret. [`WebhookReceiver::verify`] tells which.
    pub fn verify_signature(&self, headers: &HeaderMap, body: &[u8]) -> Result<bool> {
        match self.verify(headers, body) {
            Ok(()) => Ok(true),
            Err(
                SignatureError::SignatureMismatch
                | SignatureError::TimestampTooOld
                | SignatureError::TimestampInFuture,
            ) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Parses a body that was verified before; [`WebhookReceiver::receive`] does both.
    ///
    /// A body is the envelope of one event or of a batch; see [`IncomingWebhook::into_events`].
    ///
    /// ```
    /// use webhooks_receiver::WebhookReceiver;
    ///
    /// # fn main() -> Result<(), webhooks_receiver::WebhookError> {
    /// # let body = br#"{"id":"webhook_1","event":"user.created","timestamp":"2023-11-14T22:13:20.000Z","data":{"user_id":"123"},"version":"1.0"}"#;
    /// let receiver = WebhookReceiver::new("webhook_secret");
    /// let webhook = receiver.parse_webhook(body)?; // once it is verified
    /// assert_eq!(webhook.event, "user.created");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`WebhookError::SerializationError`] when it is not an envelope, an id in it is empty or
    /// longer than 256 bytes, or the body is longer than [`WebhookReceiver::max_body`].
    pub fn parse_webhook(&self, body: &[u8]) -> Result<IncomingWebhook> {
        IncomingWebhook::try_from(&self.parse_raw(body)?)
    }

    /// As [`parse_webhook`](Self::parse_webhook), with the data as it came, to the byte;
    /// [`receive_raw`](Self::receive_raw) verifies too.
    ///
    /// ```
    /// use webhooks_receiver::WebhookReceiver;
    ///
    /// # fn main() -> Result<(), webhooks_receiver::WebhookError> {
    /// # let body = br#"{"id":"webhook_1","event":"user.created","timestamp":"2023-11-14T22:13:20.000Z","data":1.50,"version":"1.0"}"#;
    /// let receiver = WebhookReceiver::new("webhook_secret");
    /// let webhook = receiver.parse_raw(body)?; // once it is verified
    /// assert_eq!(webhook.data.get(), "1.50");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`parse_webhook`](Self::parse_webhook), but the data may be nested without bound and hold
    /// escapes that are no Unicode.
    pub fn parse_raw<'a>(&self, body: &'a [u8]) -> Result<RawWebhook<'a>> {
        self.check_length(body.len()).map_err(WebhookError::from)?;
        RawWebhook::parse(body)
    }

    /// What can be refused by its headers alone, before the body is read.
    pub(crate) fn presented(&self, headers: &HeaderMap) -> Result<Presented, SignatureError> {
        self.presented_at(headers, clock::now().as_secs())
    }

    /// What remains once the body is there.
    pub(crate) fn finish(
        &self,
        presented: &Presented,
        body: &[u8],
    ) -> Result<IncomingWebhook, ReceiveError> {
        self.check(presented, body)?;
        let parsed = RawWebhook::parse(body).and_then(|raw| IncomingWebhook::try_from(&raw));
        parsed.map_err(ReceiveError::Body)
    }

    fn check(&self, presented: &Presented, body: &[u8]) -> Result<(), ReceiveError> {
        self.check_length(body.len())?;
        Ok(presented.check_body(&self.keys, body)?)
    }

    fn presented_at(&self, headers: &HeaderMap, now: i64) -> Result<Presented, SignatureError> {
        if self.keys.is_empty() {
            return Err(SignatureError::EmptySecret);
        }
        let mut lines = headers.get_all(SIGNATURE).iter().peekable();
        let presented = if lines.peek().is_none() && self.uses_standard_headers(headers) {
            standard_headers::parse(headers, &self.keys)?
        } else {
            timestamped_header::parse(only_line(lines, MAX_HEADER)?)?
        };
        let tolerance = i64::try_from(self.tolerance.as_secs()).unwrap_or(i64::MAX);
        presented.check_time(now, tolerance)?;
        Ok(presented)
    }

    fn uses_standard_headers(&self, headers: &HeaderMap) -> bool {
        standard_headers::are_present(headers) && self.keys.iter().any(standard_headers::are_for)
    }

    fn check_length(&self, length: usize) -> Result<(), ReceiveError> {
        if length > self.max_body {
            return Err(ReceiveError::BodyTooLarge {
                limit: self.max_body,
            });
        }
        Ok(())
    }
}

impl fmt::Debug for WebhookReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookReceiver")
            .field("secrets", &self.keys.len())
            .field("tolerance", &self.tolerance)
            .field("max_body", &self.max_body)
            .finish()
    }
}

fn keys(secrets: impl IntoIterator<Item = impl Into<String>>) -> Arc<[Key]> {
    secrets
        .into_iter()
        .map(|secret| Secret::from(secret.into()))
        .filter(|secret| !secret.expose().is_empty())
        .filter_map(|secret| key(secret.expose()))
        .collect()
}

fn key(text: &str) -> Option<Key> {
    // Never as a secret, since it is none.
    if text.starts_with("whpk_") {
        #[cfg(feature = "ed25519")]
        return Ed25519PublicKey::new(text).ok().map(Key::Public);
        #[cfg(not(feature = "ed25519"))]
        return None;
    }
    Some(Key::Secret(Box::new(SecretKey {
        timestamped: SigningKey::new(text.as_bytes()),
        standard: standard_key(text),
    })))
}

fn standard_key(secret: &str) -> Option<StandardKey> {
    // The key would also be taken without its prefix, but then a text of another kind might pass.
    secret.starts_with("whsec_").then_some(())?;
    StandardKey::for_verifying(secret).ok()
}
