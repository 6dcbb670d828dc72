//! Takes what is to be written down.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;
use webhooks_core::WebhookEvent;
use webhooks_core::storage::spi::{EndpointGate, Settlement};

use crate::lane::Lane;
use crate::notice::Notice;

/// Tries of one call that fail until that is no hiccup any more.
const HICCUPS: usize = 3;

/// Something to be written down.
#[derive(Debug)]
pub(crate) enum Entry {
    /// What came of a delivery.
    Settle {
        settlement: Settlement,
        /// What was delivered, for who is told of it.
        event: Arc<WebhookEvent>,
        /// Whose it is; `None` if it was never taken in hand.
        lane: Option<Arc<Lane>>,
    },
    /// A change of an endpoint's gate, and what to tell once it is stored.
    Gate(EndpointGate, Option<Notice>),
}

/// The end that takes entries. They are as many as deliveries are in hand, which is bounded.
#[derive(Debug)]
pub(crate) struct Recorder {
    entries: mpsc::UnboundedSender<Entry>,
    /// Entries that are not written down yet.
    unwritten: AtomicUsize,
    /// Of these, how many the storage refuses for good.
    parked: AtomicUsize,
    /// Tries in a row that failed.
    failures: AtomicUsize,
}

impl Recorder {
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Entry>) {
        let (entries, written) = mpsc::unbounded_channel();
        let recorder = Self {
            entries,
            unwritten: AtomicUsize::new(0),
            parked: AtomicUsize::new(0),
            failures: AtomicUsize::new(0),
        };
        (recorder, written)
    }

    /// A try failed.
    pub(crate) fn failed(&self) {
        self.failures.fetch_add(1, Ordering::SeqCst);
    }

    /// A try succeeded.
    pub(crate) fn written(&self) {
        self.failures.store(0, Ordering::SeqCst);
    }

    /// Whether what is to be written down is.
    pub(crate) fn is_writing(&self) -> bool {
        self.parked() == 0 && self.failures.load(Ordering::SeqCst) < HICCUPS
    }

    /// How many entries the storage refuses for good.
    pub(crate) fn parked(&self) -> usize {
        self.parked.load(Ordering::SeqCst)
    }

    pub(crate) fn record(&self, entry: Entry) {
        self.unwritten.fetch_add(1, Ordering::SeqCst);
        // Fails only once the system was dropped: then the storage's rescue settles it.
        drop(self.entries.send(entry));
    }

    /// Whether everything is written down.
    pub(crate) fn is_idle(&self) -> bool {
        self.unwritten.load(Ordering::SeqCst) == 0
    }

    /// So many entries are written down, and so many are refused for good by now.
    pub(crate) fn wrote(&self, entries: usize, parked: usize) {
        self.parked.store(parked, Ordering::SeqCst);
        self.unwritten.fetch_sub(entries, Ordering::SeqCst);
    }
}
