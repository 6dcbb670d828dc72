//! Bodies made of frames, without a connection.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame};

pub(crate) const FRAME: usize = 10_000;

/// A body that gives one frame after the other, each only when asked a second time.
pub(crate) struct Frames {
    frames: VecDeque<io::Result<Bytes>>,
    endless: Option<Bytes>,
    pending: bool,
    read: Read,
}

/// Counts what was read of a body.
#[derive(Clone, Default)]
pub(crate) struct Read(Arc<AtomicUsize>);

impl Read {
    pub(crate) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Frames {
    fn new(frames: impl IntoIterator<Item = io::Result<Bytes>>) -> Self {
        Self {
            frames: frames.into_iter().collect(),
            endless: None,
            pending: false,
            read: Read::default(),
        }
    }

    pub(crate) fn of(body: &'static [u8]) -> Self {
        Self::new([Ok(Bytes::from_static(body))])
    }

    pub(crate) fn dripping(body: &'static [u8]) -> Self {
        let bytes = Bytes::from_static(body);
        Self::new((0..bytes.len()).map(move |n| Ok(bytes.slice(n..=n))))
    }

    pub(crate) fn broken(body: &'static [u8]) -> Self {
        let reset = io::ErrorKind::ConnectionReset.into();
        Self::new([Ok(Bytes::from_static(body)), Err(reset)])
    }

    pub(crate) fn endless() -> (Self, Read) {
        let mut body = Self::new([]);
        body.endless = Some(vec![b'x'; FRAME].into());
        let read = body.read.clone();
        (body, read)
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.pending = !self.pending;
        if self.pending {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let endless = self.endless.clone().map(Ok);
        let next = self.frames.pop_front().or(endless);
        if let Some(Ok(data)) = &next {
            self.read.0.fetch_add(data.len(), Ordering::Relaxed);
        }
        Poll::Ready(next.map(|frame| frame.map(Frame::data)))
    }
}
