//! What one call costs a database, with where each figure comes from. All times are microseconds.

/// One kind of call: what it costs for itself, and for each delivery in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) fixed: f64,
    pub(super) row: f64,
    /// Deliveries of one call at most.
    pub(super) most: usize,
}

/// A database: what it has, and what calls cost it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Engine {
    pub(super) name: &'static str,
    pub(super) cores: usize,
    /// How much each further busy core slows a call that starts, in parts of its time.
    pub(super) contention: f64,
    pub(super) store: Call,
    pub(super) claim: Call,
    pub(super) settle: Call,
    /// From the end of the work to the answer, with no core in use: the sync, or the way.
    pub(super) answer: f64,
    /// One page of a listing.
    pub(super) listing: f64,
    /// What a replica takes for each delivery that was stored, and again when it is settled. It
    /// replays in one process, one commit after the other.
    pub(super) replay: f64,
}

/// `BATCH` of `committer.rs`, `claiming.rs` and `recorder.rs` in `webhooks-delivery`.
const STORED: usize = 256;
const CLAIMED: usize = 512;
const SETTLED: usize = 512;
/// What PostgreSQL does beside its statements for a delivery, half of it when it is stored.
/// Computed: two thirds of two cores at 18,010 a second are 74 us, less 17.5 of our process, 8 of the
/// receiver and two statements of 64 rows, 37 (`docs/benchmarks.md`).
const BESIDE: f64 = 11.5;

/// `docs/benchmarks.md`, "What bounds what is missed": 24 us a row in statements of 35, 17 of 100, 14
/// of 500 and 330 of one make 330 + 13.3 n. Claims, 33, 20 and 15, make 650 + 13.5 n.
pub(super) const POSTGRES: Engine = Engine {
    name: "PostgreSQL",
    cores: 8,
    // Assumed: no measurement has more than two cores. Five cores' worth is then the most.
    contention: 0.2,
    store: Call {
        fixed: 330.0,
        row: 13.3 + BESIDE / 2.0,
        most: STORED,
    },
    claim: Call {
        fixed: 650.0,
        row: 13.5,
        most: CLAIMED,
    },
    settle: Call {
        fixed: 330.0,
        row: 13.3 + BESIDE / 2.0,
        most: SETTLED,
    },
    // Computed: a commit of 64 takes 2 ms, of which its statement runs for 1.2.
    answer: 800.0,
    // Measured: 100 of an endpoint take 1.6 ms to run, and some more to plan.
    listing: 2_000.0,
    // Measured: a server that was killed redoes 21,000 deliveries of 300 bytes in 0.19 s of processor.
    replay: 4.5,
};

/// `docs/benchmarks.md`: 34 us of the one thread for a delivery, in two scripts; a claim of 100 takes
/// 1,560 us.
pub(super) const REDIS: Engine = Engine {
    name: "Redis",
    cores: 1,
    contention: 0.0,
    // That 50 of it are the call's is assumed.
    store: Call {
        fixed: 50.0,
        row: 16.2,
        most: STORED,
    },
    claim: Call {
        fixed: 50.0,
        row: 15.1,
        most: 256,
    },
    settle: Call {
        fixed: 50.0,
        row: 16.2,
        most: 256,
    },
    // Assumed: a way through a network there and back. The file is synced each second.
    answer: 200.0,
    // Assumed.
    listing: 500.0,
    // Never used: listings ask the primary.
    replay: 0.0,
};

impl Call {
    /// The time of one core for so many deliveries.
    pub(super) fn time(&self, rows: usize) -> f64 {
        self.fixed + self.row * rows as f64
    }
}

impl Engine {
    /// Deliveries a second at which all cores are busy with full calls, nothing else is asked, and
    /// nothing is claimed.
    pub(super) fn ceiling(&self) -> f64 {
        let of_one = |call: &Call| call.time(call.most) / call.most as f64;
        let each = of_one(&self.store) + of_one(&self.settle);
        let cores = self.cores as f64;
        1e6 / each * cores / self.slowed(self.cores)
    }

    /// How many times as long a call takes while so many cores are busy.
    pub(super) fn slowed(&self, busy: usize) -> f64 {
        1.0 + self.contention * busy.saturating_sub(1) as f64
    }
}
