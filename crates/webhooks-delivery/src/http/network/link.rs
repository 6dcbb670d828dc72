//! A connection, plain or under TLS, that brings only so many bytes of a response.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::client::TlsStream;

use super::Wire;
use super::head_form::HeadForm;

/// A connection, plain or under TLS.
#[derive(Debug)]
pub(crate) struct Link {
    stream: Stream,
    allowance: Allowance,
    form: HeadForm,
}

#[derive(Debug)]
enum Stream {
    Plain(Wire),
    Tls(Box<TlsStream<Wire>>),
}

/// How many more bytes a connection brings before it fails with [`ResponseTooLong`].
///
/// It bounds what no bound of a head or a body sees: interim responses without end, and the framing
/// of a body. Without it a fast peer could keep a processor busy up to the deadline.
#[derive(Clone, Debug, Default)]
pub(crate) struct Allowance(Arc<ResponseState>);

/// What is known of the response that comes. Between two responses there is one writer, during one there
/// is one reader.
#[derive(Debug, Default)]
struct ResponseState {
    left: AtomicUsize,
    /// Nothing of it was read yet.
    is_new: AtomicBool,
    is_odd: AtomicBool,
}

impl Allowance {
    /// Another response begins, of which so many bytes are brought.
    pub(crate) fn renew(&self, bytes: usize) {
        self.0.left.store(bytes, Ordering::Relaxed);
        self.0.is_new.store(true, Ordering::Relaxed);
        self.0.is_odd.store(false, Ordering::Relaxed);
    }

    /// Whether the head of the response is [odd](HeadForm), as far as it was read.
    pub(crate) fn is_odd(&self) -> bool {
        self.0.is_odd.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: &[u8], form: &mut HeadForm) -> io::Result<()> {
        if self.0.is_new.load(Ordering::Relaxed) {
            self.0.is_new.store(false, Ordering::Relaxed);
            *form = HeadForm::default();
        }
        if !form.follow(bytes) {
            self.0.is_odd.store(true, Ordering::Relaxed);
        }
        let left = self.0.left.load(Ordering::Relaxed).checked_sub(bytes.len());
        self.0.left.store(left.unwrap_or(0), Ordering::Relaxed);
        left.map(drop)
            .ok_or_else(|| io::Error::other(ResponseTooLong))
    }
}

/// The error of a connection whose allowance is used up.
#[derive(Debug)]
pub(crate) struct ResponseTooLong;

impl fmt::Display for ResponseTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the response is longer than is read of one")
    }
}

impl std::error::Error for ResponseTooLong {}

impl Link {
    pub(crate) fn plain(stream: Wire) -> Self {
        Self::new(Stream::Plain(stream))
    }

    pub(crate) fn tls(stream: TlsStream<Wire>) -> Self {
        Self::new(Stream::Tls(Box::new(stream)))
    }

    fn new(stream: Stream) -> Self {
        Self {
            stream,
            allowance: Allowance::default(),
            form: HeadForm::default(),
        }
    }

    /// What it brings; nothing until that is renewed.
    pub(crate) fn allowance(&self) -> Allowance {
        self.allowance.clone()
    }
}

macro_rules! forward {
    ($self:ident, $link:ident => $call:expr) => {
        match &mut $self.get_mut().stream {
            Stream::Plain(stream) => {
                let $link = Pin::new(stream);
                $call
            }
            Stream::Tls(stream) => {
                let $link = Pin::new(stream.as_mut());
                $call
            }
        }
    };
}

impl AsyncRead for Link {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let link = self.get_mut();
        let before = buf.filled().len();
        ready!(match &mut link.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buf),
        })?;
        let brought = buf.filled().get(before..).unwrap_or_default();
        Poll::Ready(link.allowance.take(brought, &mut link.form))
    }
}

impl AsyncWrite for Link {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        forward!(self, link => link.poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self, link => link.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self, link => link.poll_shutdown(cx))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        forward!(self, link => link.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }
}
