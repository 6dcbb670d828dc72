use webhooks_core::Timestamp;
use webhooks_core::storage::spi::FanOut;

/// A fan-out that is not done.
#[derive(Debug)]
pub(crate) struct Unfinished {
    pub(crate) fan_out: FanOut,
    /// When its last part was stored: who goes on with it leaves it alone for a while.
    pub(crate) moved_at: Timestamp,
}
