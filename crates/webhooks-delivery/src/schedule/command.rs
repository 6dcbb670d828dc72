//! What the scheduler wants done.
//!
//! Commands are done at once and in order by who told the scheduler something. Entries wait until
//! the recorder takes them: they are to be stored, many in one call, and may not be lost between a
//! request's end and the storage.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use webhooks_core::storage::EndpointRecord;
use webhooks_core::storage::spi::{EndpointGate, SettleAs, Settlement};
use webhooks_core::{AttemptRecord, DeliveryId, Timestamp, WebhookDelivery, WebhookEvent};

use super::carried::Content;
use super::lane_id::{LaneId, RequestId};
use crate::notice::Notice;

/// What the scheduler wants done, in this order.
#[derive(Debug)]
pub(crate) enum Command {
    /// Make this request, and tell what came of it.
    /// Its slot, its permit and its leases are taken already, so that whoever drops this command
    /// would leak them: until [`cut_off`](super::Scheduler::cut_off) the request counts as in
    /// flight.
    Start(Request),
    /// Tell listeners.
    /// Only what needs no settlement; the others are told by the recorder, once they are stored.
    Tell(Notice),
    /// Let the transport forget what it keeps for this endpoint.
    /// The transport keeps keys and headers by endpoint, and has no other way to learn that these
    /// changed.
    Forget(Arc<str>),
    /// There are entries to be written down.
    Record,
    /// There may be something to claim, and there is room for it.
    Claim,
    /// From now on time alone may change what can start.
    /// Who ticks sleeps without an end until then: an idle process is not woken for nothing.
    Watch,
}

/// A request to be made.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) id: RequestId,
    /// The endpoint as it is now.
    pub(crate) record: Arc<EndpointRecord>,
    /// The stored bytes of one event, or of several.
    pub(crate) content: Content,
    /// The first of its deliveries.
    pub(crate) delivery_id: DeliveryId,
    /// The number of the attempt, from 1; in a batch the highest.
    pub(crate) number: u32,
    /// When the first of its deliveries was due.
    pub(crate) due_at: Timestamp,
    /// Storage time at its start.
    pub(crate) started_at: Timestamp,
    /// Until when it may start: the end of the lease window, as known now. Whoever comes to it later
    /// must ask whether a beat has moved that.
    pub(crate) start_by: Instant,
}

/// Something to be written down.
#[derive(Debug)]
pub(crate) enum Entry {
    /// What came of a delivery.
    Settle {
        settlement: Settlement,
        /// What was delivered, for who is told of it.
        event: Arc<WebhookEvent>,
        /// Whose it is; `None` if it was never taken into a lane.
        lane: Option<LaneId>,
    },
    /// A change of an endpoint's gate, and what to tell once it is stored.
    Gate(EndpointGate, Option<Notice>),
}

/// What is wanted and not done yet. Entries are as many as deliveries are leased, which is bounded.
#[derive(Debug, Default)]
pub(super) struct Commands {
    /// In order, since a `Forget` must come before a `Start` that follows from the same change.
    commands: VecDeque<Command>,
    /// In one queue with one reader, so that gates are stored before what is given back for them: it
    /// would come out again at once.
    entries: VecDeque<Entry>,
    /// Wanted once, however many entries there are: the recorder takes all.
    record: bool,
    claim: bool,
    watch: bool,
}

impl Commands {
    pub(super) fn push(&mut self, command: Command) {
        self.commands.push_back(command);
    }

    /// Wants claimers to look for work.
    pub(super) const fn claim(&mut self) {
        self.claim = true;
    }

    /// Wants to be told of the time.
    pub(super) const fn watch(&mut self) {
        self.watch = true;
    }

    pub(super) fn gate(&mut self, gate: EndpointGate, notice: Option<Notice>) {
        self.record(Entry::Gate(gate, notice));
    }

    /// Settles a delivery, if it is leased.
    pub(super) fn settle(
        &mut self,
        lane: Option<LaneId>,
        delivery: WebhookDelivery,
        settle_as: SettleAs,
        attempt: Option<AttemptRecord>,
    ) {
        // Without a lease there is no token to settle with. Storages bring none such.
        let Some(lease) = delivery.lease else { return };
        self.record(Entry::Settle {
            settlement: Settlement {
                delivery_id: delivery.id,
                endpoint_id: delivery.endpoint_id,
                token: lease.token,
                settle_as,
                attempt,
            },
            event: delivery.event,
            lane,
        });
    }

    fn record(&mut self, entry: Entry) {
        self.entries.push_back(entry);
        self.record = true;
    }

    /// The next command; what is wanted again and again comes once.
    pub(super) fn next(&mut self) -> Option<Command> {
        let wanted = |flag: &mut bool| std::mem::take(flag);
        if let Some(command) = self.commands.pop_front() {
            Some(command)
        } else if wanted(&mut self.record) {
            Some(Command::Record)
        } else if wanted(&mut self.claim) {
            Some(Command::Claim)
        } else if wanted(&mut self.watch) {
            Some(Command::Watch)
        } else {
            None
        }
    }

    /// Whether there is no entry.
    pub(super) fn is_written(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entries, the oldest first.
    #[cfg(test)]
    pub(super) const fn entries(&self) -> &VecDeque<Entry> {
        &self.entries
    }

    /// Takes out entries, the oldest first, at most so many.
    pub(super) fn take_entries(&mut self, most: usize) -> impl Iterator<Item = Entry> {
        let count = self.entries.len().min(most);
        self.entries.drain(..count)
    }
}
