use std::time::Duration;

use fred::clients::Client;
use fred::interfaces::ClientLike;
use fred::types::ConnectHandle;
use tokio::task::JoinHandle;

/// Before a client's task is started again.
const PAUSE: Duration = Duration::from_millis(200);

/// Starts the task of a client again whenever an error has ended it, as `fred`'s ends when the
/// slot of a command moves to another node of a cluster. Nobody else would, and every call would
/// then wait for nothing.
#[derive(Debug)]
pub(crate) struct Revival(JoinHandle<()>);

impl Revival {
    pub(crate) fn of(client: Client, task: ConnectHandle) -> Self {
        Self(tokio::spawn(keep_alive(client, task)))
    }
}

impl Drop for Revival {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn keep_alive(client: Client, mut task: ConnectHandle) {
    // A client that was told to quit ends without an error.
    while let Ok(Err(error)) = task.await {
        tracing::warn!(
            kind = error.kind().to_str(),
            "a client of Redis has given up"
        );
        tokio::time::sleep(PAUSE).await;
        task = client.connect();
    }
}
