//! What a claim may return of one endpoint, by the model.

/// What a claim may return of one endpoint.
///
/// A range and not one number, since a claim that stops at its limit may have taken a part, and
/// then what is left may be due or not.
#[derive(Debug, Default)]
pub(crate) struct Claimable {
    /// Deliveries that may come at most, by the claim and by the gate.
    pub(crate) room: usize,
    /// Deliveries of one request at most.
    pub(crate) batch: usize,
    /// The oldest has waited long enough.
    pub(crate) is_over: bool,
    /// The keys of what is ready, in order.
    pub(crate) sound: Vec<i64>,
    pub(crate) suspects: Vec<i64>,
    /// How many come, if the claim's limit lets them all.
    pub(crate) least: usize,
    pub(crate) most: usize,
}

impl Claimable {
    /// What is not a whole batch comes with others only if the oldest has waited long enough, and
    /// perhaps not even then: it may not be the oldest any more.
    pub(crate) fn bounded(mut self) -> Self {
        // So many would come if batches did not matter.
        let fits = self.sound.len().min(self.room);
        let whole = fits - fits % self.batch;
        let (least, most) = match self.sound.len() >= self.batch {
            // By its five cases: too few for a batch, with the wait over or not; room for less than
            // a batch; and whole batches, with the wait of the rest over or not.
            false if self.is_over => (fits, fits),
            false => (0, 0),
            true if whole == 0 => (fits, fits),
            true if self.is_over => (whole, fits),
            true => (whole, whole),
        };
        let with_suspects = |sound: usize| self.room.min(sound + self.suspects.len());
        (self.least, self.most) = (with_suspects(least), with_suspects(most));
        self
    }

    /// Whether these keys, those of poison suspects apart, are the first ones in order.
    pub(crate) fn is_first(&self, keys: &[Vec<i64>; 2]) -> bool {
        self.sound.starts_with(&keys[0]) && self.suspects.starts_with(&keys[1])
    }
}
