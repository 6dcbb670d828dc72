use std::sync::Arc;

use fred::clients::{Client, SubscriberClient};
use fred::error::Error;
use fred::interfaces::{ClientLike, EventInterface, PubsubInterface};
use fred::types::config::ReconnectPolicy;
use fred::types::{ClusterHash, CustomCommand, Value};
use tokio::sync::Notify;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;

use crate::error::is_refused;

/// Hears of new work by a subscription of its own.
///
/// A message may be lost while the connection is, so every reconnection counts as one.
pub(crate) struct Wake {
    work: Arc<Notify>,
    subscriber: SubscriberClient,
    tasks: [JoinHandle<()>; 2],
}

impl Wake {
    /// Asks whether the user may subscribe, on a connection for this alone, and fails if not. A
    /// subscriber's own call does not wait for the answer, and fred takes the one of a success for a
    /// message: then the answer to the call behind it, which lacks its arguments, comes in its place.
    pub(crate) async fn ask(like: &Client, channel: &str) -> Result<(), Error> {
        let connection = like.connection_config().clone();
        let client = Client::new(
            like.client_config(),
            Some(like.perf_config()),
            Some(connection),
            None,
        );
        let _connection = client.init().await?;
        let command = CustomCommand::new_static("SUBSCRIBE", ClusterHash::Custom(0), false);
        let subscribed = client.custom::<Value, _>(command.clone(), vec![channel]);
        let malformed = client.custom::<Value, &str>(command, vec![]);
        let answer = tokio::select! {
            biased;
            answer = subscribed => answer,
            // It is sent once it was polled, behind the other.
            answer = malformed => answer,
        };
        tokio::spawn(async move { client.quit().await });
        match answer {
            Err(error) if is_refused(&error) => Err(error),
            _ => Ok(()),
        }
    }

    pub(crate) async fn subscribe(like: &Client, channel: &str) -> Result<Self, Error> {
        let policy = like.client_reconnect_policy();
        let subscriber = SubscriberClient::new(
            like.client_config(),
            Some(like.perf_config()),
            Some(like.connection_config().clone()),
            Some(policy.unwrap_or_else(|| ReconnectPolicy::new_exponential(0, 100, 5_000, 2))),
        );
        let work = Arc::new(Notify::new());
        let mut messages = subscriber.message_rx();
        let mut reconnections = subscriber.reconnect_rx();
        let _connection = subscriber.init().await?;
        let subscriptions = subscriber.manage_subscriptions();
        subscriber.subscribe(channel).await?;
        let notify = Arc::clone(&work);
        let listener = tokio::spawn(async move {
            loop {
                let is_closed = tokio::select! {
                    message = messages.recv() => matches!(message, Err(RecvError::Closed)),
                    server = reconnections.recv() => matches!(server, Err(RecvError::Closed)),
                };
                if is_closed {
                    break;
                }
                // All who wait now, and whoever comes next, so that nothing falls between a look
                // and the waiting.
                notify.notify_waiters();
                notify.notify_one();
            }
        });
        Ok(Self {
            work,
            subscriber,
            tasks: [subscriptions, listener],
        })
    }

    pub(crate) async fn wait(&self) {
        self.work.notified().await;
    }
}

impl std::fmt::Debug for Wake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wake")
    }
}

impl Drop for Wake {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
        let subscriber = self.subscriber.clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            drop(runtime.spawn(async move { subscriber.quit().await }));
        }
    }
}
