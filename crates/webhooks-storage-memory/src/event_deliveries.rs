use std::collections::BTreeSet;

/// The deliveries of one event, each by the handles of its endpoint and of its row.
///
/// Most events have one, which costs no allocation. One of ten thousand is found by its endpoint
/// without a look at the others.
#[derive(Debug, Default)]
pub(crate) struct EventDeliveries {
    /// Empty only if there is none at all.
    one: Option<(u32, u32)>,
    others: BTreeSet<(u32, u32)>,
}

impl EventDeliveries {
    pub(crate) fn insert(&mut self, endpoint: u32, row: u32) {
        match self.one {
            None => self.one = Some((endpoint, row)),
            Some(_) => drop(self.others.insert((endpoint, row))),
        }
    }

    pub(crate) fn remove(&mut self, endpoint: u32, row: u32) {
        match self.one {
            Some(one) if one == (endpoint, row) => self.one = self.others.pop_first(),
            _ => drop(self.others.remove(&(endpoint, row))),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.one.is_none()
    }

    pub(crate) fn len(&self) -> usize {
        self.others.len() + usize::from(self.one.is_some())
    }

    /// Handles of all rows.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> {
        let all = self.one.iter().chain(&self.others);
        all.map(|(_, row)| *row)
    }

    /// Handles of the rows of one endpoint.
    pub(crate) fn of_endpoint(&self, endpoint: u32) -> impl Iterator<Item = u32> {
        let one = self.one.iter().filter(move |one| one.0 == endpoint);
        let others = self.others.range((endpoint, 0)..=(endpoint, u32::MAX));
        one.chain(others).map(|(_, row)| *row)
    }
}
