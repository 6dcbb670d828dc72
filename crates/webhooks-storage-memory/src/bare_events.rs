use std::collections::VecDeque;

use crate::arena::Arena;
use crate::event_row::EventRow;

/// Events that nothing refers to any more, or yet: no delivery and no fan-out.
///
/// They are what a sweep drops by age, and what falls out where there are too many. No other event
/// is dropped, so that a handle in a row is always that of its event.
#[derive(Debug, Default)]
pub(crate) struct BareEvents {
    /// Handles in the order in which they became bare. The number beside one is the event's
    /// `bare_since`: an entry of an event that is not bare any more is passed over.
    queue: VecDeque<(u32, u64)>,
    /// Bytes of the payloads of those that are bare.
    bytes: usize,
    /// The last number that was given. An event that is not bare has none.
    last: u64,
}

impl BareEvents {
    pub(crate) fn insert(&mut self, handle: u32, event: &mut EventRow) {
        if event.bare_since == 0 {
            self.last += 1;
            event.bare_since = self.last;
            self.bytes += event.event.payload.len();
            self.queue.push_back((handle, self.last));
        }
    }

    /// Before the event is dropped, and when it gets a delivery.
    pub(crate) fn remove(&mut self, event: &mut EventRow) {
        if std::mem::take(&mut event.bare_since) != 0 {
            self.bytes -= event.event.payload.len();
        }
    }

    /// Counts that the payload of an event is about to be dropped.
    pub(crate) fn empty(&mut self, event: &EventRow) {
        if event.bare_since != 0 {
            self.bytes -= event.event.payload.len();
        }
    }

    /// Takes the first entry out if there are more than so many, or more bytes: the event of it, if
    /// it is bare.
    pub(crate) fn pop_over(
        &mut self,
        most: usize,
        most_bytes: usize,
        events: &Arena<EventRow>,
    ) -> Option<Option<u32>> {
        if self.queue.len() <= most && self.bytes <= most_bytes {
            return None;
        }
        let (handle, since) = self.queue.pop_front()?;
        Some(Some(handle).filter(|handle| is_bare(events, *handle, since)))
    }

    /// Those that are bare, as they became so.
    pub(crate) fn iter(&self, events: &Arena<EventRow>) -> impl Iterator<Item = u32> {
        let queue = self.queue.iter();
        let bare = queue.filter(|(handle, since)| is_bare(events, *handle, *since));
        bare.map(|(handle, _)| *handle)
    }
}

fn is_bare(events: &Arena<EventRow>, handle: u32, since: u64) -> bool {
    let event = events.get(handle);
    event.is_some_and(|event| event.bare_since == since)
}
