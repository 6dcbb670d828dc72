//! How names become addresses.
//!
//! A name is looked up for each new connection, and no answer is kept here: a cache would make
//! verdicts older than they say. The operating system or a resolver nearby may cache.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};

use super::lookup_shares::{LookupPlace, LookupShares};
use super::shortage::{self, Shortage, is_shortage};

/// Resolves host names. Its answers are judged before anything is dialled.
///
/// A resolver needs no trust, since the [`NetworkPolicy`](crate::NetworkPolicy) judges each
/// address. It should bound its own time: an attempt that runs out of it counts as a timeout of the
/// endpoint.
///
/// ```
/// use std::io;
/// use std::net::{IpAddr, Ipv4Addr};
///
/// use webhooks_delivery::Resolve;
///
/// struct OneHost;
///
/// #[async_trait::async_trait]
/// impl Resolve for OneHost {
///     async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
///         match host {
///             "hooks.example.com" => Ok(vec![Ipv4Addr::new(93, 184, 215, 14).into()]),
///             _ => Err(io::ErrorKind::NotFound.into()),
///         }
///     }
/// }
/// # let _: &dyn Resolve = &OneHost;
/// ```
#[async_trait]
pub trait Resolve: Send + Sync {
    /// The addresses of `host`, best first.
    ///
    /// # Errors
    ///
    /// When there is no answer; the delivery is then retried.
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>>;

    /// The same, for an endpoint of this customer, so that a resolver can bound what one customer
    /// takes of it: the endpoint's tenant, or its id if it has none. Defaults to
    /// [`resolve`](Self::resolve).
    ///
    /// # Errors
    ///
    /// As those of [`resolve`](Self::resolve).
    async fn resolve_for(&self, host: &str, customer: &str) -> io::Result<Vec<IpAddr>> {
        let _ = customer;
        self.resolve(host).await
    }
}

/// The operating system's resolver (`getaddrinfo`).
///
/// At most 64 lookups run at once, each until it really ends, and one per name: whoever asks for a
/// name that is being looked up waits for that answer. One customer has at most 8 of them, and the
/// names of one domain too, so that slow name servers hold up nobody else.
#[derive(Clone, Default)]
pub struct SystemResolver {
    shares: Arc<LookupShares>,
    /// By name, as asked. One that is done is taken out by its own task.
    running: Arc<Mutex<HashMap<String, Lookup>>>,
}

/// A lookup that runs, for all who asked.
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
        Self::default()
    }

    async fn lookup(&self, host: &str, customer: &str) -> Result<Vec<IpAddr>, LookupError> {
        if let Some(lookup) = self.running(host) {
            return lookup.await;
        }
        // What waits for its share is nobody else's to wait for.
        let place = self.shares.place(customer, host).await;
        let lookup = {
            let mut running = self.lock();
            match running.get(host).filter(|lookup| runs(lookup)) {
                // Somebody else started it while this one waited for its place, which is given
                // back.
                Some(lookup) => lookup.clone(),
                None => {
                    let lookup = self.start(host, place);
                    running.insert(host.to_owned(), lookup.clone());
                    lookup
                }
            }
        };
        lookup.await
    }

    fn running(&self, host: &str) -> Option<Lookup> {
        self.lock().get(host).filter(|lookup| runs(lookup)).cloned()
    }

    fn start(&self, host: &str, place: LookupPlace) -> Lookup {
        // A task of its own: an attempt that ran out of time must not cancel it for the others.
        let task = tokio::spawn(self.clone().run(host.to_owned(), place));
        let lookup = async move { task.await.unwrap_or(CUT_OFF) };
        lookup.boxed().shared()
    }

    async fn run(self, host: String, place: LookupPlace) -> Result<Vec<IpAddr>, LookupError> {
        let name = host.clone();
        let answer = tokio::task::spawn_blocking(move || {
            let addresses = (name.as_str(), 0).to_socket_addrs();
            let addresses = addresses.map_err(|error| LookupError::new(&error));
            // Here, in the thread: the place is held until the look-up has really ended, though all
            // who asked may be gone.
            drop(place);
            Ok(addresses?.map(|address| address.ip()).collect())
        });
        let answer = answer.await.unwrap_or(CUT_OFF);
        self.lock().remove(&host);
        answer
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Lookup>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The answer of one that ended with its runtime.
const CUT_OFF: Result<Vec<IpAddr>, LookupError> = Err(LookupError::Kind(io::ErrorKind::Other));

/// Whether it still runs: one that is done and still known was cut off with its runtime.
fn runs(lookup: &Lookup) -> bool {
    lookup.peek().is_none()
}

impl fmt::Debug for SystemResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemResolver")
            .field("shares", &self.shares)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        self.resolve_for(host, "").await
    }

    async fn resolve_for(&self, host: &str, customer: &str) -> io::Result<Vec<IpAddr>> {
        Ok(self.lookup(host, customer).await?)
    }
}
