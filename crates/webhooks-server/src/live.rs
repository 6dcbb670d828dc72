//! What goes on for longer than a request: how much of it there may be at once, and how it ends.
//!
//! A request ends within 10 seconds, so a rate limits how many there are. A stream lives for hours and an
//! export for minutes: for those the number at once is what has to be bounded. Each takes a [`Place`] and
//! gives it back when it is dropped, which happens also where its task is aborted or the client goes.
//!
//! A tenant has fewer places than there are, so that one tenant cannot take those of all others. A caller
//! who runs the system is bounded by the number in all alone. Who finds no place gets 503 `busy` with
//! `Retry-After`, and does not wait in the server.
//!
//! The numbers hold for one process. With more processes there are more places.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::problem::Problem;

/// Exports of a process at once, and of one tenant.
const EXPORTS: (usize, usize) = (4, 2);
/// Streams of a process at once, and of one tenant.
const STREAMS: (usize, usize) = (64, 4);

/// Searches in data of a process at once, and of one tenant: each reads much.
const SEARCHES: (usize, usize) = (4, 1);

/// Exports, streams and searches of one server.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    pub(crate) exports: Places,
    pub(crate) streams: Places,
    pub(crate) searches: Places,
    pub(crate) closer: Closer,
}

impl Live {
    /// Of a server on which nothing goes on yet.
    pub(crate) fn new() -> Self {
        Self {
            exports: Places::new("exports", EXPORTS),
            streams: Places::new("streams", STREAMS),
            searches: Places::new("searches in data", SEARCHES),
            closer: Closer(Arc::new(watch::Sender::new(false))),
        }
    }
}

/// Ends what would keep connections of a [`Server`](crate::Server) open for long: streams and
/// exports. Clones end the same ones.
#[derive(Clone, Debug)]
pub struct Closer(Arc<watch::Sender<bool>>);

impl Closer {
    /// Ends them, and whatever begins later. To be called when the process is to end, so that those who
    /// listen do not hold it up: each of them is told, and can go on elsewhere.
    pub fn close(&self) {
        self.0.send_replace(true);
    }

    /// Comes back once everything is to end.
    pub(crate) async fn closed(&self) {
        let mut closed = self.0.subscribe();
        // It cannot fail: the sender lives in `self`.
        let _closed = closed.wait_for(|closed| *closed).await;
    }
}

/// Places of one kind, so many in all and so many of one tenant.
#[derive(Clone, Debug)]
pub(crate) struct Places(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    what: &'static str,
    most: usize,
    most_of_tenant: usize,
    taken: Mutex<Taken>,
}

/// Which places are taken.
#[derive(Debug, Default)]
struct Taken {
    all: usize,
    /// Of tenants that have one.
    of: HashMap<Arc<str>, usize>,
}

/// A place, which is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Places,
    tenant: Option<Arc<str>>,
}

impl Places {
    fn new(what: &'static str, (most, most_of_tenant): (usize, usize)) -> Self {
        Self(Arc::new(Inner {
            what,
            most,
            most_of_tenant,
            taken: Mutex::default(),
        }))
    }

    /// Takes one, for this tenant or for those who run the system.
    ///
    /// # Errors
    ///
    /// 503 where there is none left.
    pub(crate) fn take(&self, tenant: Option<&Arc<str>>) -> Result<Place, Problem> {
        let inner = &self.0;
        let mut taken = inner.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let of = tenant.and_then(|tenant| taken.of.get(tenant)).copied();
        if taken.all >= inner.most || of.unwrap_or(0) >= inner.most_of_tenant {
            let text = format!(
                "too many {} at once: {} in all, {} of a tenant",
                inner.what, inner.most, inner.most_of_tenant
            );
            return Err(Problem::busy(text));
        }
        taken.all += 1;
        if let Some(tenant) = tenant {
            *taken.of.entry(tenant.clone()).or_default() += 1;
        }
        Ok(Place {
            places: self.clone(),
            tenant: tenant.cloned(),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let taken = &self.places.0.taken;
        let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all -= 1;
        let Some(tenant) = &self.tenant else {
            return;
        };
        if let Some(of) = taken.of.get_mut(tenant) {
            *of -= 1;
            if *of == 0 {
                taken.of.remove(tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_takes_no_more_than_its_places_and_gives_them_back() {
        let places = Places::new("things", (3, 2));
        let (a, b) = ("a".into(), "b".into());
        let first = places.take(Some(&a)).unwrap();
        let _second = places.take(Some(&a)).unwrap();
        let refused = places.take(Some(&a)).unwrap_err();
        assert_eq!(refused.status().as_u16(), 503);
        let _of_b = places.take(Some(&b)).unwrap();
        assert!(places.take(None).is_err());
        drop(first);
        let _third = places.take(Some(&a)).unwrap();
        assert!(places.take(None).is_err());
    }
}
