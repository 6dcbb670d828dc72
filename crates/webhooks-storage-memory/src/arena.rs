//! Where rows, endpoints and workers live. Indexes and queues hold handles of four bytes instead of
//! ids or pointers, which keeps a million rows small. A handle is given to another value once its
//! own is removed, so whoever keeps one beyond that has to check whose it is (`State::ended` does,
//! by `seq`).

use slab::Slab;

/// A slab whose handles are half as long as an index.
#[derive(Debug)]
pub(crate) struct Arena<T>(Slab<T>);

impl<T> Arena<T> {
    pub(crate) const fn new() -> Self {
        Self(Slab::new())
    }

    /// Keeps a value. What is kept is bounded by the limits, far below `u32::MAX`.
    ///
    /// Of rows there are the waiting and dead ones (`MemoryLimits::deliveries`) and the ended ones
    /// (`MemoryLimits::ended`).
    pub(crate) fn insert(&mut self, value: T) -> u32 {
        u32::try_from(self.0.insert(value)).unwrap_or(u32::MAX)
    }

    /// The handle that the next value gets.
    pub(crate) fn next_handle(&self) -> u32 {
        u32::try_from(self.0.vacant_key()).unwrap_or(u32::MAX)
    }

    pub(crate) fn remove(&mut self, handle: u32) -> T {
        self.0.remove(handle as usize)
    }

    /// The value of a handle that may have gone.
    pub(crate) fn get(&self, handle: u32) -> Option<&T> {
        self.0.get(handle as usize)
    }

    pub(crate) fn get_mut(&mut self, handle: u32) -> Option<&mut T> {
        self.0.get_mut(handle as usize)
    }

    /// The value of a handle that is known to be in use.
    #[expect(clippy::indexing_slicing, reason = "no handle outlives its value")]
    pub(crate) fn at(&self, handle: u32) -> &T {
        &self.0[handle as usize]
    }

    /// The value of a handle that is known to be in use, to be changed.
    #[expect(clippy::indexing_slicing, reason = "no handle outlives its value")]
    pub(crate) fn at_mut(&mut self, handle: u32) -> &mut T {
        &mut self.0[handle as usize]
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.0
            .iter()
            .map(|(index, value)| (u32::try_from(index).unwrap_or(u32::MAX), value))
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut().map(|(_, value)| value)
    }

    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        self.0.retain(|_, value| keep(value));
    }
}
