//! What arrived, and what was acknowledged.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;
use webhooks_tests::{Received, Response};

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) delivery: String,
    pub(crate) signature: String,
    pub(crate) at: Instant,
    /// Whether the receiver took it, or will once its time is over.
    pub(crate) accepted: bool,
}

/// All requests, in the order of their arrival.
#[derive(Debug, Default)]
pub(crate) struct Arrivals(Mutex<Vec<Arrival>>);

impl Arrivals {
    pub(crate) fn all(&self) -> MutexGuard<'_, Vec<Arrival>> {
        self.0.lock().unwrap()
    }

    /// Notes a request that gets this response.
    pub(crate) fn note(&self, request: &Received, response: &Response) {
        let accepted = match response {
            Response::Status(status)
            | Response::Header(status, ..)
            | Response::Body(status, _)
            | Response::After(_, status) => (200..300).contains(status),
            Response::Hang => false,
        };
        self.all().push(Arrival {
            delivery: request.header("x-webhook-delivery").into(),
            signature: request.header("x-webhook-signature").into(),
            at: Instant::now(),
            accepted,
        });
    }

    /// How often each delivery was accepted, and when first.
    pub(crate) fn accepted(&self) -> HashMap<String, (usize, Instant)> {
        let mut accepted = HashMap::new();
        for arrival in self.all().iter().filter(|arrival| arrival.accepted) {
            let entry = accepted.entry(arrival.delivery.clone());
            entry.or_insert((0, arrival.at)).0 += 1;
        }
        accepted
    }

    /// Requests per second between two moments.
    pub(crate) fn rate(&self, from: Instant, to: Instant) -> f64 {
        let all = self.all();
        let count = all.iter().filter(|a| a.at >= from && a.at < to).count();
        f64::from(u32::try_from(count).unwrap()) / to.duration_since(from).as_secs_f64()
    }

    /// How long after this moment the next request arrived.
    pub(crate) fn first_after(&self, moment: Instant) -> Option<Duration> {
        let all = self.all();
        let next = all.iter().find(|arrival| arrival.at > moment)?;
        Some(next.at.duration_since(moment))
    }
}

/// A send whose answer has come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Acknowledgement {
    pub(crate) begun: Instant,
    pub(crate) at: Instant,
}

/// Every delivery that a send acknowledged, and when.
#[derive(Debug, Default)]
pub(crate) struct Acknowledged(Mutex<HashMap<String, Acknowledgement>>);

impl Acknowledged {
    pub(crate) fn all(&self) -> MutexGuard<'_, HashMap<String, Acknowledgement>> {
        self.0.lock().unwrap()
    }

    /// Notes what a send that took so long has acknowledged.
    pub(crate) fn note<'a>(&self, deliveries: impl IntoIterator<Item = &'a str>, took: Duration) {
        let at = Instant::now();
        let begun = at - took;
        let deliveries = deliveries.into_iter();
        let deliveries = deliveries.map(|id| (id.to_owned(), Acknowledgement { begun, at }));
        self.all().extend(deliveries);
    }
}
