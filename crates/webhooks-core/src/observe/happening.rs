/// Something that operators want to count, and that is about no single attempt or delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Happening {
    /// All leases of this process were lost, since others took it for dead: what it had in hand may
    /// run twice.
    LeasesLost,
    /// This process took back what dead processes had leased.
    Rescued {
        /// So many deliveries.
        deliveries: usize,
    },
    /// The lease of a delivery was lost before its attempt was stored: another one may have run.
    SettlementStale,
    /// A listener was too slow for notices.
    NoticesMissed {
        /// So many of them it has not heard.
        notices: u64,
    },
}
