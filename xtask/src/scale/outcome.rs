//! What a run has measured.

use super::tenants::Tenants;

/// Of the simulated time that is measured; times are microseconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Outcome {
    /// The largest share of the load that any database has.
    pub(super) share: f64,
    /// The share of the largest tenant.
    pub(super) largest: f64,
    pub(super) sent: u64,
    /// Sends that were refused, as `Overloaded`.
    pub(super) refused: u64,
    /// By so much more waits at the end of each second than at the end of the one before.
    pub(super) behind: f64,
    /// Requests that began.
    pub(super) started: u64,
    /// Of all of the run: deliveries that were stored, and that were settled.
    pub(super) stored: u64,
    pub(super) settled: u64,
    /// From the send to the start of the request, of each.
    lags: Vec<f64>,
    pub(super) listed: u64,
    pub(super) stale: u64,
    /// The share of time that the cores of each database worked.
    pub(super) utilisation: Vec<f64>,
    /// The share of places that were taken, of all processes and of those of the busiest database.
    pub(super) places: f64,
    pub(super) busiest_places: f64,
    /// The calls that stored and settled, and the deliveries in them.
    pub(super) calls: u64,
    pub(super) rows: u64,
}

impl Outcome {
    /// Nothing has been measured yet.
    pub(super) fn new(tenants: &Tenants) -> Self {
        Self {
            share: tenants.busiest,
            largest: tenants.largest,
            ..Self::default()
        }
    }

    /// A request began so long after its event was sent.
    pub(super) fn start(&mut self, lag: f64) {
        self.started += 1;
        self.lags.push(lag);
    }

    /// Sorts what is asked for by rank.
    pub(super) fn done(mut self) -> Self {
        self.lags.sort_unstable_by(f64::total_cmp);
        self
    }

    /// The lag that this share of 1,000 keeps, in milliseconds.
    pub(super) fn lag(&self, of_1000: usize) -> f64 {
        let last = self.lags.len().saturating_sub(1);
        let at = last * of_1000 / 1_000;
        self.lags.get(at).map_or(f64::NAN, |lag| lag / 1_000.0)
    }

    /// The largest utilisation of a database.
    pub(super) fn busiest(&self) -> f64 {
        self.utilisation.iter().copied().fold(0.0, f64::max)
    }
}
