//! Reading the response of an endpoint.
//!
//! Promises: a receiver decides neither how much memory nor how much time an attempt takes; the
//! status counts once it has come; and a connection is kept only after all of its response was
//! read.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use http::header::{RETRY_AFTER, SET_COOKIE};
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::http::connection::Connection;
use crate::http::idle_pool::IdlePool;
use crate::http::retry_after::parse_retry_after;

/// The longest wait that a response can ask for.
/// A longer one is more likely a mistake, and an endpoint that is held for weeks looks like one
/// that is lost.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 3_600);
/// How much of a response is read besides its body: interim responses, the head, the framing of
/// chunks, trailers. The body's cap in chunks of one byte is within it.
const MAX_OVERHEAD: usize = 1024 * 1024;
/// How long the rest of an accepted response is read in the background, to keep its connection.
/// A new connection with TLS costs less than to wait longer.
const DRAIN: Duration = Duration::from_secs(2);
/// How many responses are read in the background at once; further connections are closed instead.
/// Each holds a descriptor and a task that no request accounts for.
const MAX_DRAINS: usize = 128;

/// How often the connection's task is given a turn to bring more of an accepted response, which is
/// cheaper than a task in the background.
const TURNS: u32 = 2;

/// The bytes that are kept at least of a response whose sender wants to know what it says.
/// Enough for the answer to a challenge, also where the engine keeps nothing of responses.
const WHOLE: usize = 1_024;

/// The limits of what is read, and of what is read in the background.
#[derive(Debug)]
pub(crate) struct Reading {
    /// How many bytes of a body are read before its connection is closed.
    pub(crate) read: usize,
    /// How many of them are kept.
    pub(crate) keep: usize,
    /// How many bytes of headers are kept.
    pub(crate) keep_headers: usize,
    drains: Arc<Semaphore>,
}

/// As much of a response as has come.
#[derive(Debug, Default)]
pub(crate) struct ReceivedResponse {
    pub(crate) status: Option<StatusCode>,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) headers: Vec<(String, String)>,
    kept: BytesMut,
    /// Bytes of the body so far, kept or not.
    read: usize,
    keep_at_least: usize,
}

impl ReceivedResponse {
    pub(crate) fn new(whole: bool) -> Self {
        Self {
            keep_at_least: if whole { WHOLE } else { 0 },
            ..Self::default()
        }
    }

    /// Takes the head.
    pub(crate) fn take_head(&mut self, status: StatusCode, headers: &HeaderMap, now: SystemTime) {
        self.status = Some(status);
        if matches!(
            status,
            // With a redirect the header says when to follow it (RFC 9110 section 10.2.3), which is
            // not done.
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
        ) {
            self.retry_after = retry_after(headers, now);
        }
    }

    /// Keeps headers, as many as fit into so many bytes.
    pub(crate) fn keep_headers(&mut self, headers: &HeaderMap, most: usize) {
        let mut left = most;
        for (name, value) in headers {
            // A session of the receiver's is nothing that an operator should see.
            if left == 0 || name == SET_COOKIE {
                continue;
            }
            let value = String::from_utf8_lossy(value.as_bytes());
            if let Some(rest) = left.checked_sub(name.as_str().len() + value.len()) {
                left = rest;
                let header = (name.as_str().to_owned(), value.into_owned());
                self.headers.push(header);
            }
        }
    }

    /// The kept bytes of the body.
    pub(crate) fn into_body(self) -> Bytes {
        self.kept.freeze()
    }

    /// Takes a part of the body; `false` when that is more than is read.
    fn take_part(&mut self, part: &Bytes, limits: &Reading) -> bool {
        let keep = limits.keep.max(self.keep_at_least);
        let room = keep.saturating_sub(self.kept.len());
        self.kept
            .extend_from_slice(part.get(..room).unwrap_or(part));
        self.read = self.read.saturating_add(part.len());
        self.read <= limits.read
    }
}

impl Reading {
    pub(crate) fn new(read: usize, keep: usize, keep_headers: usize) -> Self {
        Self {
            read,
            keep,
            keep_headers,
            drains: Arc::new(Semaphore::new(MAX_DRAINS)),
        }
    }

    /// How many bytes of one response are taken from its connection, at most.
    pub(crate) const fn bytes(&self) -> usize {
        self.read.saturating_add(MAX_OVERHEAD)
    }

    /// Reads a body up to the limit, and keeps the connection if that was all of it.
    pub(crate) async fn read_all(
        &self,
        response: &mut ReceivedResponse,
        mut body: Incoming,
        connection: Box<Connection>,
        idle: &Arc<IdlePool>,
    ) {
        while let Some(frame) = body.frame().await {
            // The connection is dropped, and with it closed; what has come stays.
            let Ok(frame) = frame else { return };
            if frame
                .data_ref()
                .is_some_and(|part| !response.take_part(part, self))
            {
                return;
            }
        }
        self.recycle(None, connection, idle);
    }

    /// Takes what is there of a body, and leaves its rest to the background.
    pub(crate) async fn read_ready(
        &self,
        response: &mut ReceivedResponse,
        mut body: Incoming,
        connection: Box<Connection>,
        idle: &Arc<IdlePool>,
    ) {
        let mut turns = TURNS;
        while !body.is_end_stream() {
            match body.frame().now_or_never() {
                Some(Some(Ok(frame))) => {
                    if frame
                        .data_ref()
                        .is_some_and(|part| !response.take_part(part, self))
                    {
                        return;
                    }
                }
                Some(Some(Err(_))) => return,
                Some(None) => break,
                None if turns > 0 => {
                    turns -= 1;
                    tokio::task::yield_now().await;
                }
                None => {
                    let rest = Some((body, self.read.saturating_sub(response.read)));
                    return self.recycle(rest, connection, idle);
                }
            }
        }
        self.recycle(None, connection, idle);
    }

    /// Keeps a connection once the rest of its response has come and it can take a request.
    fn recycle(
        &self,
        rest: Option<(Incoming, usize)>,
        mut connection: Box<Connection>,
        idle: &Arc<IdlePool>,
    ) {
        // Another reader could see its end elsewhere: what follows would be taken for the next
        // response.
        if !connection.may_be_kept() {
            return;
        }
        if rest.is_none() && connection.is_ready() {
            return idle.keep(connection);
        }
        // Too many are read already: this one is closed.
        let Ok(permit) = Arc::clone(&self.drains).try_acquire_owned() else {
            return;
        };
        let idle = Arc::clone(idle);
        tokio::spawn(async move {
            let ready = async {
                if let Some((body, limit)) = rest
                    && !drain(body, limit).await
                {
                    return false;
                }
                connection.ready().await
            };
            if timeout(DRAIN, ready).await == Ok(true) {
                idle.keep(connection);
            }
            drop(permit);
        });
    }
}

/// Reads a body to its end; `false` when it is longer than `limit` or breaks off.
async fn drain(mut body: Incoming, limit: usize) -> bool {
    let mut read = 0_usize;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return false };
        read = read.saturating_add(frame.data_ref().map_or(0, Bytes::len));
        if read > limit {
            return false;
        }
    }
    true
}

/// The longest wait of all `Retry-After` lines, capped.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    headers
        .get_all(RETRY_AFTER)
        .iter()
        .filter_map(|value| parse_retry_after(value.to_str().ok()?, now))
        .max()
        .map(|wait| wait.min(MAX_RETRY_AFTER))
}
