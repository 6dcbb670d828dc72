//! The kept-alive connections to one scheme, host and port.
//!
//! Promises: a connection is given out only while its address was judged less than five minutes
//! ago, and only after its last answer was read to the end, and had the form that it should have.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval};

use crate::header_room::HeaderRoom;
use crate::network::{Allowance, Link, Target};

/// How long the verdict over a connection's address stands.
const VERDICT: Duration = Duration::from_secs(300);
/// How long a connection is kept after its last request began.
const IDLE: Duration = Duration::from_secs(60);
/// How often connections that became too old are looked for.
const SWEEP: Duration = Duration::from_secs(15);
/// The largest head of an answer, in bytes; also the most that is read ahead of its body.
const MAX_HEAD: usize = 64 * 1024;
/// The most headers of an answer. The parser takes 64 bytes of memory for each, used or not.
const MAX_HEADERS: usize = 2_048;

type Body = Full<Bytes>;

/// One connection that requests can be sent on, one after the other. It is boxed, so that what
/// every attempt carries along is small.
pub(crate) struct Connection {
    sender: SendRequest<Body>,
    allowance: Allowance,
    judged: Instant,
    /// When its last request began.
    used: Instant,
    pub(crate) room: HeaderRoom,
}

impl Connection {
    /// Starts HTTP on `link`, whose address was judged at `judged`.
    pub(crate) async fn start(link: Link, judged: Instant) -> hyper::Result<Box<Self>> {
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
            sender,
            allowance,
            judged,
            used: judged,
            room: HeaderRoom::default(),
        }))
    }

    /// Sends a request, to which at most so many bytes of an answer are read, interim answers and
    /// framing included. The error gives it back if nothing of it was written.
    pub(crate) fn send(
        &mut self,
        request: Request<Body>,
        answer_bytes: usize,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<Body>>>> + use<> {
        self.allowance.renew(answer_bytes);
        self.sender.try_send_request(request)
    }

    /// Whether another request may go here: not after an answer whose end others may see elsewhere.
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

    fn is_fresh(&self, now: Instant) -> bool {
        self.sender.is_ready() && now - self.judged < VERDICT && now - self.used < IDLE
    }
}

/// The kept-alive connections to one target.
pub(crate) struct Origin {
    pub(crate) target: Target,
    max_idle: usize,
    #[expect(clippy::vec_box, reason = "attempts carry the box along")]
    idle: Mutex<Vec<Box<Connection>>>,
}

impl Origin {
    /// A connection that can be used at once, the one that was used last.
    pub(crate) fn take(&self, now: Instant) -> Option<Box<Connection>> {
        let mut idle = lock(&self.idle);
        while let Some(mut connection) = idle.pop() {
            if connection.is_fresh(now) {
                connection.used = now;
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection for the next request.
    pub(crate) fn keep(&self, connection: Box<Connection>) {
        let mut idle = lock(&self.idle);
        if idle.len() < self.max_idle {
            idle.push(connection);
        }
    }

    fn sweep(&self, now: Instant) -> usize {
        let mut idle = lock(&self.idle);
        idle.retain(|connection| connection.is_fresh(now));
        idle.len()
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Origin")
            .field("target", &self.target)
            .field("idle", &lock(&self.idle).len())
            .finish()
    }
}

/// All origins, so that endpoints of one host share its connections.
pub(crate) struct Origins {
    /// Unused connections of one origin that are kept at most.
    max_idle: usize,
    by_target: Mutex<HashMap<Target, Arc<Origin>>>,
    /// Stops with its owner.
    sweeper: Mutex<JoinSet<()>>,
}

impl Origins {
    pub(crate) fn new(max_idle: usize) -> Self {
        Self {
            max_idle,
            by_target: Mutex::default(),
            sweeper: Mutex::default(),
        }
    }

    /// The origin of a target; starts the sweeping with the first one.
    pub(crate) fn get(self: &Arc<Self>, target: Target) -> Arc<Origin> {
        let mut sweeper = lock(&self.sweeper);
        if sweeper.is_empty() {
            sweeper.spawn(sweep(Arc::downgrade(self)));
        }
        drop(sweeper);
        let mut origins = lock(&self.by_target);
        let origin = origins.entry(target.clone()).or_insert_with(|| {
            Arc::new(Origin {
                target,
                max_idle: self.max_idle,
                idle: Mutex::default(),
            })
        });
        Arc::clone(origin)
    }
}

/// Closes what is too old and forgets unused origins, until the last owner is gone.
async fn sweep(origins: Weak<Origins>) {
    let mut ticks = interval(SWEEP);
    loop {
        let now = ticks.tick().await;
        let Some(origins) = origins.upgrade() else {
            return;
        };
        lock(&origins.by_target)
            .retain(|_, origin| origin.sweep(now) > 0 || Arc::strong_count(origin) > 1);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
