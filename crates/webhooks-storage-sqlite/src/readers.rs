//! The threads that read, each with a connection of its own. What they see is one moment, and no
//! commit waits for them.

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::oneshot;
use webhooks_core::{Result, WebhookError};

use crate::connection::open_reader;
use crate::error::{self, unknown};

/// How many there are. Beside one long listing there is a place for a short call.
const READERS: usize = 2;
/// Calls that may wait at a time.
const MOST_WAITING: usize = 4_096;

type Read = Box<dyn FnOnce(&Connection) + Send>;

/// The way to the readers' threads, which end when this is dropped.
#[derive(Debug)]
pub(crate) struct Readers {
    sender: Option<SyncSender<Read>>,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    pub(crate) fn start(path: &Path) -> Result<Self> {
        let (sender, receiver) = sync_channel::<Read>(MOST_WAITING);
        let receiver = Arc::new(Mutex::new(receiver));
        let mut threads = Vec::with_capacity(READERS);
        for _ in 0..READERS {
            let connection = open_reader(path)?;
            let receiver = Arc::clone(&receiver);
            let thread = std::thread::Builder::new()
                .name("webhooks-sqlite-reader".into())
                .spawn(move || run(&connection, &receiver));
            threads.push(thread.map_err(|error| {
                WebhookError::transient_storage("sqlite: cannot start a thread", error)
                    .without_effect()
            })?);
        }
        Ok(Self {
            sender: Some(sender),
            threads,
        })
    }

    /// Reads, all of it from one moment.
    pub(crate) async fn call<T, F>(&self, what: &'static str, read: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> error::Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let read: Read = Box::new(move |connection| {
            let answer = in_one_moment(connection, read);
            let answer = answer.map_err(|failure| failure.into_error(what));
            // Nobody may wait any more.
            drop(reply.send(answer));
        });
        match self.sender.as_ref().map(|sender| sender.try_send(read)) {
            Some(Ok(())) => {}
            Some(Err(TrySendError::Full(_))) => {
                let text = "the queue of the sqlite readers is full";
                return Err(WebhookError::Overloaded(text.into()));
            }
            None | Some(Err(TrySendError::Disconnected(_))) => return Err(ended()),
        }
        answer.await.unwrap_or_else(|_| Err(ended()))
    }
}

fn ended() -> WebhookError {
    WebhookError::StorageError("sqlite: the readers have ended".into()).without_effect()
}

fn in_one_moment<T>(
    connection: &Connection,
    read: impl FnOnce(&Connection) -> error::Result<T>,
) -> error::Result<T> {
    connection.execute_batch("BEGIN")?;
    // A panic would be a bug here, and fails this call alone.
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| read(connection)));
    let answer = caught.unwrap_or_else(|_| Err(unknown("a row that a call met")));
    // A moment that lasts would keep the log of writes from being taken over.
    if !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK")?;
    }
    answer
}

fn run(connection: &Connection, calls: &Mutex<Receiver<Read>>) {
    loop {
        let call = calls.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(call) = call else {
            break;
        };
        call(connection);
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        drop(self.sender.take());
        for thread in self.threads.drain(..) {
            if thread.thread().id() != std::thread::current().id() {
                thread.join().unwrap_or_default();
            }
        }
    }
}
