//! Tells nodes that there is work.
//!
//! A notification inside every commit would take a lock of the whole server each time. So each node
//! notes that it has left work behind, and says so on a connection of its own, a few milliseconds
//! later, once for all of it.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use backoff::ExponentialBackoffBuilder;
use backoff::backoff::Backoff;
use futures_util::future::BoxFuture;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{AsyncMessage, Client, Config, Connection, Socket};

/// Between two notifications of one node.
const DEBOUNCE: Duration = Duration::from_millis(5);
/// Between two attempts to connect, at first and at most, give or take half.
const RECONNECT: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(5)];
/// How often an idle connection listens again, and so is asked whether it still is one: before what is
/// between closes it for being idle, which often takes a minute, or because somebody reset the session.
const PROBE: Duration = Duration::from_secs(30);

type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;
/// Makes a connection: its client, and what drives it and hands its notifications on.
pub(crate) type Connect = Arc<
    dyn Fn(mpsc::Sender<i32>) -> BoxFuture<'static, Result<(Client, Driver), tokio_postgres::Error>>
        + Send
        + Sync,
>;

/// Who waits here, and who waits elsewhere.
#[derive(Debug)]
pub(crate) struct Wake {
    here: Arc<Notify>,
    /// Something is to be told to other nodes.
    elsewhere: Arc<Notify>,
    listener: Option<Listener>,
}

impl Wake {
    pub(crate) fn new() -> Self {
        Self {
            here: Arc::default(),
            elsewhere: Arc::default(),
            listener: None,
        }
    }

    /// Listens, for as long as this lives.
    pub(crate) fn listen(mut self, connect: Connect, schema: &str) -> Self {
        let (here, elsewhere) = (self.here.clone(), self.elsewhere.clone());
        let channel = format!("webhooks_{schema}");
        self.listener = Some(Listener(tokio::spawn(async move {
            keep_listening(&connect, &channel, &here, &elsewhere).await;
        })));
        self
    }

    /// There is work for whoever waits.
    pub(crate) fn work(&self) {
        wake(&self.here);
        if self.listener.is_some() {
            self.elsewhere.notify_one();
        }
    }

    pub(crate) async fn wait(&self) {
        self.here.notified().await;
    }
}

/// All who wait now, and whoever comes next, so that nothing falls between a look and the waiting.
fn wake(notify: &Notify) {
    notify.notify_waiters();
    notify.notify_one();
}

/// The task ends with the storage.
struct Listener(JoinHandle<()>);

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listener")
    }
}

pub(crate) fn connector<T>(config: Config, tls: T) -> Connect
where
    T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
    T::Stream: Send,
    T::TlsConnect: Send,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    let config = Arc::new(config);
    Arc::new(move |heard| {
        let (config, tls) = (config.clone(), tls.clone());
        Box::pin(async move {
            let (client, connection) = config.connect(tls).await?;
            let driver: Driver = Box::pin(drive(connection, heard));
            Ok((client, driver))
        })
    })
}

/// Hands notifications on, each with who sent it, until the connection ends.
async fn drive<S, T>(mut connection: Connection<S, T>, heard: mpsc::Sender<i32>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
        if let AsyncMessage::Notification(notification) = message {
            // A full channel holds a wake-up already.
            let _told = heard.try_send(notification.process_id());
        }
    }
}

async fn keep_listening(connect: &Connect, channel: &str, here: &Notify, elsewhere: &Notify) {
    let [first, longest] = RECONNECT;
    let mut pauses = ExponentialBackoffBuilder::new()
        .with_initial_interval(first)
        .with_multiplier(2.0)
        .with_max_interval(longest)
        .with_max_elapsed_time(None)
        .build();
    loop {
        let (heard, hears) = mpsc::channel(16);
        match connect(heard).await {
            Ok((client, driver)) => {
                let session = listen(&client, channel, hears, here, elsewhere);
                let outcome = tokio::select! {
                    outcome = session => outcome,
                    () = driver => None,
                };
                if outcome.is_some() {
                    pauses.reset();
                }
            }
            Err(error) => {
                let code = error.code().map(tokio_postgres::error::SqlState::code);
                tracing::warn!(code, "cannot listen for work");
            }
        }
        // What was said meanwhile was not heard.
        wake(here);
        tokio::time::sleep(pauses.next_backoff().unwrap_or(longest)).await;
    }
}

/// Listens and tells until the connection is lost; `None` if it never worked.
async fn listen(
    client: &Client,
    channel: &str,
    mut hears: mpsc::Receiver<i32>,
    here: &Notify,
    elsewhere: &Notify,
) -> Option<()> {
    let own = client
        .query_typed_one("SELECT pg_backend_pid()", &[])
        .await
        .ok()?;
    let own: i32 = own.try_get(0).ok()?;
    let listen = format!("LISTEN \"{channel}\"");
    client.batch_execute(&listen).await.ok()?;
    wake(here);
    let notify = format!("NOTIFY \"{channel}\"");
    loop {
        let statement = tokio::select! {
            from = hears.recv() => {
                if from? != own {
                    wake(here);
                }
                continue;
            }
            () = elsewhere.notified() => &notify,
            () = tokio::time::sleep(PROBE) => &listen,
        };
        if client.batch_execute(statement).await.is_err() {
            // It is told again on the next connection.
            elsewhere.notify_one();
            return Some(());
        }
        tokio::time::sleep(DEBOUNCE).await;
    }
}
