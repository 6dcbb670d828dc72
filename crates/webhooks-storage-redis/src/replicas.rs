//! Waiting until replicas have what a script wrote.

use std::time::Duration;

use fred::clients::Client;
use fred::error::{Error, ErrorKind};
use fred::interfaces::{ClientLike, EventInterface};
use fred::types::config::Server;
use fred::types::{ClusterHash, ClusterStateChange, CustomCommand};
use fred::util::redis_keyslot;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;

/// How many replicas are waited for, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Replicas {
    pub(crate) count: u32,
    pub(crate) timeout: Duration,
}

impl Replicas {
    /// Waits until they have all that was written over the connection of this client to the node
    /// that keeps the key; `link` is from before it was written.
    pub(crate) async fn wait(
        self,
        client: &Client,
        mut link: Link,
        key: &str,
    ) -> Result<(), Error> {
        let have = ask(client, key, self.count, self.timeout).await?;
        if have < u64::from(self.count) {
            return Err(missed(format!(
                "stored, but on {have} of {} replicas within {:?}",
                self.count, self.timeout
            )));
        }
        // On another connection the server would have waited for nothing.
        if link.is_broken() {
            return Err(missed(
                "stored, but the connection was lost before replicas had it".into(),
            ));
        }
        Ok(())
    }
}

/// Whether the connections of a client stay what they are. It calls a command again on another
/// connection when the first one was lost, or when a slot has another node, and does not tell.
pub(crate) struct Link {
    reconnected: Receiver<Server>,
    rerouted: Receiver<Vec<ClusterStateChange>>,
}

impl Link {
    pub(crate) fn of(client: &Client) -> Self {
        Self {
            reconnected: client.reconnect_rx(),
            rerouted: client.cluster_change_rx(),
        }
    }

    fn is_broken(&mut self) -> bool {
        self.reconnected.try_recv().err() != Some(TryRecvError::Empty)
            || self.rerouted.try_recv().err() != Some(TryRecvError::Empty)
    }
}

/// How many replicas have what was written, once it is that many or the time is over.
pub(crate) async fn ask(
    client: &Client,
    key: &str,
    count: u32,
    timeout: Duration,
) -> Result<u64, Error> {
    // As the client's own command it would keep every other one from being sent meanwhile.
    let slot = ClusterHash::Custom(redis_keyslot(key.as_bytes()));
    let wait = CustomCommand::new_static("WAIT", slot, false);
    let args = [u128::from(count), timeout.as_millis()];
    let args: Vec<String> = args.iter().map(ToString::to_string).collect();
    client.custom(wait, args).await
}

/// What was written stays; the call that is made again finds it, and waits anew.
fn missed(text: String) -> Error {
    Error::new(ErrorKind::Timeout, text)
}
