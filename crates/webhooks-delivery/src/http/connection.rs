//! A connection that requests are sent on, one after the other.
//!
//! Promises: it is used only while its address was judged less than five minutes ago, and only after
//! its last response was read to the end, and had the form that it should have.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use crate::http::header_buffers::HeaderBuffers;
use crate::http::network::{Allowance, Link, Target};

/// How long the verdict over a connection's address stands.
/// A name may have another address by then, and the owner of the address may be another: the
/// verdict was about who had it.
const VERDICT: Duration = Duration::from_secs(300);
/// How long a connection is kept after its last request began.
/// Servers commonly close idle connections after a minute or more; a connection that is kept for
/// less is seldom found closed.
const IDLE: Duration = Duration::from_secs(60);
/// The largest head of a response, in bytes; also the most that is read ahead of its body.
const MAX_HEAD: usize = 64 * 1024;
/// The most headers of a response. The parser writes 64 bytes of memory for each, used or not, which
/// costs what stays in memory a tenth of its rate.
/// Responses to webhooks have a dozen, but some servers send far more, and curl takes them.
const MAX_HEADERS: usize = 2_048;

type Body = Full<Bytes>;

/// One connection that requests can be sent on, one after the other. It is boxed, so that what
/// every attempt carries along is small.
pub(crate) struct Connection {
    pub(crate) target: Arc<Target>,
    /// Dropped, it ends the task of the connection.
    sender: SendRequest<Body>,
    /// Shared with the [`Link`], which takes from it.
    allowance: Allowance,
    /// Before the name was looked up, so that the verdict never stands for too long.
    judged: Instant,
    /// When its last request began.
    used: Instant,
    pub(crate) room: HeaderBuffers,
}

impl Connection {
    /// Starts HTTP on `link` to `target`, whose address was judged at `judged`.
    pub(crate) async fn start(
        target: Arc<Target>,
        link: Link,
        judged: Instant,
    ) -> hyper::Result<Box<Self>> {
        let allowance = link.allowance();
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(MAX_HEAD)
            .max_headers(MAX_HEADERS)
            // What is odd besides does not undo what the receiver has done.
            .allow_obsolete_multiline_headers_in_responses(true)
            .allow_spaces_after_header_name_in_responses(true)
            .ignore_invalid_headers_in_responses(true)
            .handshake(TokioIo::new(link))
            .await?;
        // It ends with its sender. What goes wrong on it is told to the request that it hits.
        tokio::spawn(connection);
        Ok(Box::new(Self {
            target,
            sender,
            allowance,
            judged,
            used: judged,
            room: HeaderBuffers::default(),
        }))
    }

    /// Sends a request, to which at most so many bytes of a response are read, interim responses and
    /// framing included. The error gives it back if nothing of it was written.
    pub(crate) fn send(
        &mut self,
        request: Request<Body>,
        response_bytes: usize,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<Body>>>> + use<> {
        // Before the request: bytes that an endpoint sends unasked between two requests find the
        // rest of the last allowance.
        self.allowance.renew(response_bytes);
        self.sender.try_send_request(request)
    }

    /// Whether another request may go here: not after a response whose end others may see elsewhere.
    pub(crate) fn may_be_kept(&self) -> bool {
        !self.allowance.is_odd()
    }

    /// Whether the next request can be sent at once.
    pub(crate) fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }

    /// Waits until the next request can be sent; `false` when none ever can.
    pub(crate) async fn ready(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }

    /// Whether a request may be sent now, after a time without one.
    ///
    /// A connection that the endpoint has closed may still look ready; the request then goes out on
    /// a new one, if no byte of it was written.
    pub(crate) fn is_fresh(&self, now: Instant) -> bool {
        self.sender.is_ready() && now - self.judged < VERDICT && now - self.used < IDLE
    }

    /// Another request begins.
    pub(crate) fn use_at(&mut self, now: Instant) {
        self.used = now;
    }
}
