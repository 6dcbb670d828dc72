//! How names become addresses.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use tokio::sync::Semaphore;

use super::shortage::{self, Shortage, is_shortage};

/// Resolves host names. Its answers are judged before anything is dialled.
#[async_trait]
pub trait Resolve: Send + Sync {
    /// The addresses of `host`, best first.
    ///
    /// # Errors
    ///
    /// When there is no answer; the delivery is then retried.
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// Lookups that block a thread at the same time, at most, so that a name server that hangs cannot
/// take all threads of the runtime.
const MAX_LOOKUPS: usize = 64;

/// The operating system's resolver (`getaddrinfo`).
///
/// At most 64 lookups run at once, and one per name: whoever asks for a name that is being looked
/// up waits for that answer.
#[derive(Clone)]
pub struct SystemResolver {
    lookups: Arc<Semaphore>,
    running: Arc<Mutex<HashMap<String, Lookup>>>,
}

type Lookup = Shared<BoxFuture<'static, Result<Vec<IpAddr>, LookupError>>>;

/// Why a look-up failed, as all who share it are told.
#[derive(Clone, Copy, Debug)]
enum LookupError {
    Kind(io::ErrorKind),
    Shortage,
}

impl LookupError {
    fn new(error: &io::Error) -> Self {
        match is_shortage(error) || shortage::may_have_hit_a_lookup() {
            true => Self::Shortage,
            false => Self::Kind(error.kind()),
        }
    }
}

impl From<LookupError> for io::Error {
    fn from(error: LookupError) -> Self {
        match error {
            LookupError::Kind(kind) => kind.into(),
            LookupError::Shortage => Shortage.into(),
        }
    }
}

impl SystemResolver {
    /// A resolver with no lookup running.
    #[must_use]
    pub fn new() -> Self {
        Self {
            lookups: Arc::new(Semaphore::new(MAX_LOOKUPS)),
            running: Arc::default(),
        }
    }

    fn lookup(&self, host: &str) -> Lookup {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        // One that is done and still here was cut off with its runtime.
        if let Some(lookup) = running.get(host).filter(|lookup| lookup.peek().is_none()) {
            return lookup.clone();
        }
        // A task of its own: an attempt that ran out of time must not cancel it for the others.
        let task = tokio::spawn(self.clone().run(host.to_owned()));
        let cut_off = Err(LookupError::Kind(io::ErrorKind::Other));
        let lookup = async move { task.await.unwrap_or(cut_off) };
        let lookup = lookup.boxed().shared();
        running.insert(host.to_owned(), lookup.clone());
        lookup
    }

    async fn run(self, host: String) -> Result<Vec<IpAddr>, LookupError> {
        let permit = Arc::clone(&self.lookups).acquire_owned().await;
        let name = host.clone();
        let answer = tokio::task::spawn_blocking(move || {
            let addresses = (name.as_str(), 0).to_socket_addrs();
            let addresses = addresses.map_err(|error| LookupError::new(&error));
            drop(permit);
            Ok(addresses?.map(|address| address.ip()).collect())
        });
        let cut_off = Err(LookupError::Kind(io::ErrorKind::Other));
        let answer = answer.await.unwrap_or(cut_off);
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.remove(&host);
        answer
    }
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for SystemResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemResolver")
            .field("free_lookups", &self.lookups.available_permits())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        self.lookup(host).await.map_err(io::Error::from)
    }
}
