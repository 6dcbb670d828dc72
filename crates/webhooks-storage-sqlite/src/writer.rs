//! The one thread that writes. It takes all calls that wait and commits them together: the disk is
//! asked once for all of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;
use webhooks_core::{Result, WebhookError};

use crate::commit::commit;
use crate::error;
use crate::job::{Call, Job};
use crate::state::State;
use crate::surroundings::{Surroundings, version, wake};

/// Calls that may wait at a time.
const MOST_WAITING: usize = 4_096;
/// Calls of one commit at most, so that the first of them is answered within milliseconds.
const MOST_TOGETHER: usize = 256;
/// How often an idle writer looks whether another process has written.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The way to the writer's thread. It ends, with all that it was told before, when this is dropped.
#[derive(Debug)]
pub(crate) struct Writer {
    sender: Option<SyncSender<Waiting>>,
    thread: Option<JoinHandle<()>>,
    /// Bytes of what waits.
    bytes: Arc<AtomicUsize>,
    most_bytes: usize,
}

/// A call in the channel, with its bytes.
struct Waiting {
    job: Box<dyn Job>,
    bytes: usize,
}

impl Writer {
    pub(crate) fn start(
        state: State,
        surroundings: Surroundings,
        most_bytes: usize,
    ) -> Result<Self> {
        let (sender, receiver) = sync_channel(MOST_WAITING);
        let bytes = Arc::new(AtomicUsize::new(0));
        let of_thread = Arc::clone(&bytes);
        let thread = std::thread::Builder::new()
            .name("webhooks-sqlite-writer".into())
            .spawn(move || run(state, &surroundings, &receiver, &of_thread));
        let thread = thread.map_err(|error| {
            WebhookError::transient_storage("sqlite: cannot start a thread", error).without_effect()
        })?;
        Ok(Self {
            sender: Some(sender),
            thread: Some(thread),
            bytes,
            most_bytes,
        })
    }

    /// Runs a call inside a transaction; its answer comes after the commit.
    ///
    /// The closure may run more than once. It runs to its end also if nobody waits any more.
    pub(crate) async fn call<T, F>(&self, what: &'static str, bytes: usize, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&mut State) -> error::Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        self.send(Waiting {
            job: Box::new(Call::new(what, work, reply)),
            bytes,
        })?;
        answer.await.unwrap_or_else(|_| {
            Err(WebhookError::StorageError(
                "sqlite: the writer has ended".into(),
            ))
        })
    }

    fn send(&self, waiting: Waiting) -> Result<()> {
        let bytes = waiting.bytes;
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        // One call alone may be larger than the bound.
        let answer = if before > 0 && before + bytes > self.most_bytes {
            Err(full())
        } else {
            let sender = self.sender.as_ref();
            let sent = sender.map(|sender| sender.try_send(waiting));
            match sent {
                Some(Ok(())) => Ok(()),
                Some(Err(TrySendError::Full(_))) => Err(full()),
                None | Some(Err(TrySendError::Disconnected(_))) => {
                    let text = "sqlite: the writer has ended";
                    Err(WebhookError::StorageError(text.into()).without_effect())
                }
            }
        };
        if answer.is_err() {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        answer
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.sender.take());
        // The file is closed when the storage is gone, for who opens or copies it next. Not by the
        // thread itself, which would wait for its own end.
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            thread.join().unwrap_or_default();
        }
    }
}

fn full() -> WebhookError {
    WebhookError::Overloaded("the queue of the sqlite writer is full".into())
}

fn run(mut state: State, around: &Surroundings, calls: &Receiver<Waiting>, bytes: &AtomicUsize) {
    let mut seen = version(&state);
    loop {
        match calls.recv_timeout(LOOK_EVERY) {
            Ok(first) => {
                let mut jobs = vec![first];
                jobs.extend(calls.try_iter().take(MOST_TOGETHER - 1));
                let freed: usize = jobs.iter().map(|waiting| waiting.bytes).sum();
                let jobs = jobs.into_iter().map(|waiting| waiting.job).collect();
                commit(&mut state, around, &mut seen, jobs);
                bytes.fetch_sub(freed, Ordering::Relaxed);
            }
            Err(RecvTimeoutError::Timeout) => {
                let now = version(&state);
                if now != seen {
                    state.forget();
                    seen = now;
                    wake(&around.work);
                }
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
}
