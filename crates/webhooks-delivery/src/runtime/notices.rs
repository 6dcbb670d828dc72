//! Tells listeners what happens.
//!
//! Notices are for people and dashboards, not for decisions: a listener may miss some, and is then
//! told how many. What happened is in the storage.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::Stream;
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;
use webhooks_core::Happening;

use crate::notice::Notice;
use crate::observer::Observer;

/// Notices that a slow listener may fall behind by, before it misses some.
/// Some seconds of a busy system. All listeners share the buffer, so that it costs no more with
/// many.
const CAPACITY: usize = 4_096;

/// Where notices are told.
#[derive(Clone, Debug)]
pub(crate) struct Notices {
    listeners: broadcast::Sender<Notice>,
    /// Told of what a listener misses.
    observer: Observer,
}

impl Notices {
    pub(crate) fn new(observer: Observer) -> Self {
        Self {
            listeners: broadcast::Sender::new(CAPACITY),
            observer,
        }
    }

    /// Makes and tells a notice, unless nobody listens.
    ///
    /// Most systems have no listener: then nothing is allocated.
    pub(crate) fn tell(&self, notice: impl FnOnce() -> Notice) {
        if self.is_heard() {
            // The last listener may just have left.
            drop(self.listeners.send(notice()));
        }
    }

    /// Whether somebody listens.
    pub(crate) fn is_heard(&self) -> bool {
        self.listeners.receiver_count() > 0
    }

    pub(crate) fn listen(&self) -> NoticeStream {
        NoticeStream {
            notices: BroadcastStream::new(self.listeners.subscribe()),
            observer: self.observer.clone(),
        }
    }
}

/// A listener's end. It never slows deliveries down: who reads too slowly misses the oldest, and is
/// [told](Notice::Missed) how many.
///
/// Made by [`Pipeline::notices`](crate::Pipeline::notices), and told what happens from then on. It
/// is a [`Stream`], and has [`next`](Self::next) for who needs no combinators.
#[derive(Debug)]
pub struct NoticeStream {
    notices: BroadcastStream<Notice>,
    observer: Observer,
}

impl NoticeStream {
    /// The next notice; `None` once the system has ended.
    ///
    /// Safe to cancel: a notice that was not returned comes with the next call.
    pub async fn next(&mut self) -> Option<Notice> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl Stream for NoticeStream {
    type Item = Notice;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Notice>> {
        let told = ready!(Pin::new(&mut self.notices).poll_next(cx));
        Poll::Ready(told.map(|told| match told {
            Ok(notice) => notice,
            Err(BroadcastStreamRecvError::Lagged(notices)) => {
                let missed = Happening::NoticesMissed { notices };
                self.observer.tell(|observer| observer.happened(missed));
                Notice::Missed { notices }
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use webhooks_core::storage::DisabledBy;

    use super::*;

    #[tokio::test]
    async fn who_reads_too_slowly_is_told_how_many_were_missed() {
        let notices = Notices::new(Observer::default());
        let mut stream = notices.listen();
        let failing = |n: usize| Notice::EndpointDisabled {
            endpoint_id: n.to_string().into(),
            by: DisabledBy::Failing,
        };
        for n in 0..CAPACITY + 3 {
            notices.tell(|| failing(n));
        }
        let missed = stream.next().await.unwrap();
        assert!(
            matches!(missed, Notice::Missed { notices: 3 }),
            "{missed:?}"
        );
        let json = serde_json::to_string(&stream.next().await.unwrap()).unwrap();
        assert_eq!(
            json,
            r#"{"notice":"endpoint_disabled","endpoint_id":"3","by":"failing"}"#
        );
        drop(notices);
        let mut left = 0;
        while stream.next().await.is_some() {
            left += 1;
        }
        assert_eq!(left, CAPACITY - 1);
    }
}
