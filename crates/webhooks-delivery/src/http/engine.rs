//! Sends one signed request and says what came of it.
//!
//! The engine knows no queue: it is asked for one attempt and answers with a [`DeliveryResult`], or
//! with an error where nothing was sent for a reason of this side. It keeps what is costly to make
//! again: idle connections by target, and headers with keyed signers by endpoint.

pub(super) mod builder;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout};
use webhooks_core::{
    Attempt, Clock, DeliveryResult, FailureKind, KeptEndpoint, Outcome, Result, Transport,
    WebhookDelivery, WebhookEndpoint, WebhookError,
};

use crate::http::classify;
use crate::http::connection::Connection;
use crate::http::header_buffers::HeaderBuffers;
use crate::http::idle_pool::IdlePool;
use crate::http::network::{Connector, Target, Untried, url_rules};
use crate::http::no_response::NoResponse;
use crate::http::prepared::{Parts, Prepared};
use crate::http::response::{Reading, ReceivedResponse};
use crate::http::scarcity::Scarcity;
use crate::observer::Observer;

type Body = Full<bytes::Bytes>;

/// Sends one signed request at a time and says what came of it.
///
/// Requests go out over HTTP/1.1 on connections that are kept alive, within the engine's
/// [`NetworkPolicy`](crate::NetworkPolicy). Redirects are never followed, proxies never taken from
/// the environment, and responses never decompressed. An attempt has one deadline, from name
/// resolution to the end of the response's body.
///
/// Runs inside a Tokio runtime with I/O and time enabled.
///
/// | what | bound |
/// |---|---|
/// | one attempt | the endpoint's timeout, or 30 s |
/// | the response's head | 64 KiB, 256 headers |
/// | the response's body | 64 KiB are read, 4 KiB kept |
/// | idle connections | one minute each, 256 to one origin, 4,096 in all |
///
/// The limits can be set by its [builder](Self::builder), but for those of the head and the minute.
///
/// ```
/// use std::sync::Arc;
/// use webhooks_core::{Clock, Timestamp};
/// use webhooks_delivery::{DeliveryEngine, NetworkPolicy};
///
/// #[derive(Debug)]
/// struct Fixed;
///
/// impl Clock for Fixed {
///     fn now(&self) -> Timestamp {
///         Timestamp::from_millis(1_704_110_400_000)
///     }
/// }
///
/// let policy = NetworkPolicy::default().allow_port(8443);
/// let engine = DeliveryEngine::builder(Arc::new(Fixed)).network_policy(policy).build()?;
/// # drop(engine);
/// # Ok::<(), webhooks_core::WebhookError>(())
/// ```
pub struct DeliveryEngine {
    /// For [`deliver`](Self::deliver) alone: an [`Attempt`] brings its own time.
    clock: Arc<dyn Clock>,
    connector: Connector,
    idle: Arc<IdlePool>,
    scarcity: Scarcity,
    reading: Reading,
    observer: Observer,
    timeout: Duration,
    /// By endpoint id, as each was when a request last went there. Holds keys until
    /// [`forget`](Transport::forget).
    prepared: RwLock<HashMap<String, Arc<Prepared>>>,
}

impl DeliveryEngine {
    /// Sends a delivery to the endpoint that it came out of the queue with, as the attempt after
    /// those it has had. A failed attempt is a value, not an error.
    ///
    /// # Errors
    ///
    /// [`WebhookError::EndpointNotFound`] when the delivery does not know its endpoint, and
    /// [`WebhookError::DeliveryFailed`] that is [transient](WebhookError::is_transient) when nothing
    /// was sent, through no fault of the endpoint: this process is short of descriptors, local ports
    /// or memory, or the proxy is not there, or not for us. That is no attempt; [give it back](crate::WebhookQueue::requeue).
    pub async fn deliver(&self, delivery: &WebhookDelivery) -> Result<DeliveryResult> {
        let endpoint = delivery
            .endpoint
            .as_ref()
            .ok_or_else(|| WebhookError::EndpointNotFound(delivery.endpoint_id.as_ref().into()))?;
        let timeout = endpoint.timeout_or(self.timeout);
        let attempt = Attempt::of(delivery, endpoint, self.clock.now(), timeout);
        Ok(self.attempt(&attempt).await?)
    }

    async fn attempt(&self, attempt: &Attempt<'_>) -> Result<DeliveryResult, Untried> {
        match self.try_once(attempt).await {
            Ok(result) => Ok(result),
            Err(untried) => Box::pin(self.try_again(untried, attempt)).await,
        }
    }

    /// Tries again, if others of this process may free what is short. Each try has the whole deadline:
    /// the endpoint does not pay for the waits.
    async fn try_again(
        &self,
        untried: Untried,
        attempt: &Attempt<'_>,
    ) -> Result<DeliveryResult, Untried> {
        self.scarcity.say(untried);
        // A proxy that is not there will not be in a second, and its failure has taken long enough
        // already.
        if untried != Untried::Shortage {
            return Err(untried);
        }
        for wait in Scarcity::waits() {
            self.scarcity.make_room(&self.idle, wait).await;
            match self.try_once(attempt).await {
                Err(Untried::Shortage) => {}
                tried => return tried,
            }
        }
        Err(Untried::Shortage)
    }

    async fn try_once(&self, attempt: &Attempt<'_>) -> Result<DeliveryResult, Untried> {
        let started = Instant::now();
        let mut received = ReceivedResponse::new(attempt.whole_response);
        // What has come of the response is outside the future: a deadline that drops it leaves the
        // status.
        let exchange = self.exchange(attempt, &mut received, started);
        let failure = match timeout(attempt.timeout, exchange).await {
            // Not used: an exchange that ends well has left a status.
            Ok(Ok(())) => FailureKind::MalformedResponse,
            Ok(Err(NoResponse::Failed(failure))) => failure,
            Ok(Err(NoResponse::Untried(untried))) => return Err(untried),
            Err(_) => FailureKind::Timeout,
        };
        Ok(DeliveryResult {
            // A response whose head has come counts, whatever becomes of its body.
            outcome: match received.status {
                Some(status) => Outcome::of_status(attempt.endpoint, status.as_u16()),
                None => Outcome::Failed(failure),
            },
            status: received.status.map(|status| status.as_u16()),
            started_at: attempt.now,
            duration: started.elapsed(),
            retry_after: received.retry_after,
            response_headers: std::mem::take(&mut received.headers),
            response: received.into_body(),
        })
    }

    // What is rare is boxed, so that what every attempt carries along is small: below one KiB glibc
    // allocates without a lock.
    async fn exchange(
        &self,
        attempt: &Attempt<'_>,
        received: &mut ReceivedResponse,
        started: Instant,
    ) -> Result<(), NoResponse> {
        // Before a connection is taken: a refused URL must cost none.
        let prepared = self.prepared(attempt.endpoint)?;
        let mut kept = self.idle.take(&prepared.target, started);
        let request = match &mut kept {
            Some(kept) => prepared.request(attempt, &mut kept.room),
            None => prepared.request(attempt, &mut HeaderBuffers::default()),
        };
        let request = request.ok_or(FailureKind::Unbuildable)?;
        let target = &prepared.target;
        let sent = match kept {
            Some(mut kept) => match kept.send(request, self.reading.bytes()).await {
                Ok(response) => {
                    self.observer
                        .tell(|observer| observer.connection_used(true));
                    Ok((response, kept))
                }
                // Closed before a byte of the request was written, it goes out on a new one.
                Err(mut error) => match error.take_message() {
                    Some(unsent) => Err(unsent),
                    // Part of it may have been read: to send it again here would be a second
                    // attempt that nobody counts.
                    None => {
                        self.observer
                            .tell(|observer| observer.connection_used(true));
                        return Err(classify::by_error(error.error()).into());
                    }
                },
            },
            None => Err(request),
        };
        let (response, mut connection) = match sent {
            Ok(sent) => sent,
            Err(unsent) => {
                let endpoint = attempt.endpoint;
                // Whose share of the look-ups it takes.
                let customer = endpoint.tenant.as_deref().unwrap_or(&endpoint.id);
                Box::pin(self.send_anew(target, customer, attempt.timeout, unsent)).await?
            }
        };
        let (status, body) = {
            let (head, body) = response.into_parts();
            received.take_head(head.status, &head.headers, attempt.now.into());
            received.keep_headers(&head.headers, self.reading.keep_headers);
            connection.room.keep(head.headers);
            (head.status, body)
        };
        // A 2xx is all that is asked of a receiver. Its slot is free at once, and what else it
        // sends costs no latency.
        if status.is_success() && !attempt.whole_response {
            self.reading
                .read_ready(received, body, connection, &self.idle)
                .await;
        } else {
            let reading = &self.reading;
            Box::pin(reading.read_all(received, body, connection, &self.idle)).await;
        }
        Ok(())
    }

    /// Sends a request on a new connection.
    async fn send_anew(
        &self,
        target: &Arc<Target>,
        customer: &str,
        within: Duration,
        request: Request<Body>,
    ) -> Result<(Response<Incoming>, Box<Connection>), NoResponse> {
        let mut connection = self.connect(target, customer, within).await?;
        self.observer
            .tell(|observer| observer.connection_used(false));
        match connection.send(request, self.reading.bytes()).await {
            Ok(response) => Ok((response, connection)),
            Err(error) => Err(classify::by_error(error.error()).into()),
        }
    }

    async fn connect(
        &self,
        target: &Arc<Target>,
        customer: &str,
        within: Duration,
    ) -> Result<Box<Connection>, NoResponse> {
        // Before the look-up: the addresses are judged later than that, and the connection ages
        // from here.
        let judged = Instant::now();
        let link = self.connector.connect(target, customer, within).await?;
        Connection::start(Arc::clone(target), link, judged)
            .await
            .map_err(|error| classify::by_error(&error).into())
    }

    fn prepared(&self, endpoint: &Arc<KeptEndpoint>) -> Result<Arc<Prepared>, FailureKind> {
        let known = self.prepared.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(prepared) = known.get(&endpoint.id)
            // Not by value: a changed definition is another allocation, and a comparison of secrets
            // is spared.
            && Arc::ptr_eq(&prepared.endpoint, endpoint)
        {
            return Ok(Arc::clone(prepared));
        }
        // Making it takes a hash of each secret, which others must not wait for. Two may make it at
        // once; the later one stays.
        drop(known);
        // Judged again and not only when it was registered: the policy may be stricter since.
        let url = url_rules::judge(self.connector.policy(), &endpoint.url)
            .map_err(|_| FailureKind::UrlRefused)?;
        let parts = Parts::new(endpoint, &url).map_err(|_| FailureKind::Unbuildable)?;
        let target = url.target().ok_or(FailureKind::UrlRefused)?;
        self.idle.keep_sweeping();
        let (endpoint, target) = (Arc::clone(endpoint), Arc::new(target));
        let prepared = Arc::new(Prepared::new(endpoint, target, parts));
        let mut known = self
            .prepared
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        known.insert(prepared.endpoint.id.clone(), Arc::clone(&prepared));
        Ok(prepared)
    }
}

#[async_trait]
impl Transport for DeliveryEngine {
    // The same two steps as before a request, so that what passes here can be sent.
    fn check(&self, endpoint: &WebhookEndpoint) -> Result<()> {
        let url = url_rules::judge(self.connector.policy(), &endpoint.url)?;
        Parts::new(endpoint, &url).map(drop)
    }

    async fn send(&self, attempt: &Attempt<'_>) -> Result<DeliveryResult> {
        Ok(self.attempt(attempt).await?)
    }

    fn forget(&self, endpoint_id: &str) {
        let mut known = self
            .prepared
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        known.remove(endpoint_id);
    }
}

impl fmt::Debug for DeliveryEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeliveryEngine")
            .field("policy", self.connector.policy())
            .field("reading", &self.reading)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
