//! The seam to a consumer's own memory of events.

use std::future::Future;

/// What claiming an event's id found.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a claim that is not used is given up at once"]
pub enum Claim<G> {
    /// Nobody has handled the event: handle it, then commit the guard. Dropping the guard gives the
    /// claim up.
    New(G),
    /// Somebody is handling it right now: respond with an error, such as 409, so that it comes again
    /// in case that fails.
    InProgress,
    /// It was handled: respond with success, and do nothing.
    Done,
}

/// Remembers which events were handled, because a signature alone does not stop a replay inside the
/// tolerance, and delivery is at least once.
///
/// [`SeenEvents`](crate::SeenEvents) keeps them in memory. With a database of its own a consumer
/// best inserts the id into a table with a unique key, in the transaction that also holds the
/// work: then `Guard` is that transaction, `commit` commits it, and dropping it rolls back.
pub trait SeenStore: Send + Sync {
    /// The right to handle one event. Dropping it must give the claim up, at the latest after a
    /// time limit of the store's own.
    type Guard: Send;
    /// What can go wrong.
    type Error: Send;

    /// Claims an event, by [`IncomingWebhook::id`](crate::IncomingWebhook::id). Of any number of
    /// callers at the same time one at most gets [`Claim::New`].
    fn claim(
        &self,
        id: &str,
    ) -> impl Future<Output = Result<Claim<Self::Guard>, Self::Error>> + Send;

    /// Keeps a claim: from now on it is [`Claim::Done`].
    fn commit(&self, guard: Self::Guard) -> impl Future<Output = Result<(), Self::Error>> + Send;
}
