//! Orders: which deliveries of an endpoint go one after another.
//!
//! A row stands in the line of its order from when it is made until it has ended. The first of a
//! line, its head, is ready, scheduled or leased; all behind it are blocked, and in no index that a
//! claim looks at. So a claim costs the same however many wait, and the end of a head costs one step
//! into the line behind it.

use webhooks_core::{DeliveryState, Timestamp};

use crate::error::Result;
use crate::row::{Row, select_rows};
use crate::state::State;

const HAS_LINE: &str = "SELECT EXISTS (SELECT 1 FROM webhook_queue \
    WHERE endpoint = ?1 AND incarnation = ?2 AND order_key = ?3 AND in_line = 1)";
const HEAD: &str = select_rows!(
    "FROM webhook_queue q WHERE endpoint = ?1 AND incarnation = ?2 AND order_key = ?3 \
     AND in_line = 1 ORDER BY place LIMIT 1"
);

impl State {
    /// Whether somebody stands in the line of this order.
    pub(crate) fn has_line(&self, endpoint: i64, incarnation: i64, key: &str) -> Result<bool> {
        self.value(HAS_LINE, (endpoint, incarnation, key))
    }

    /// Lets the next one go, after a row has left the line of its order.
    ///
    /// In the same change as what ended the row: no order is ever without a head.
    pub(crate) fn let_next_go(&mut self, left: &Row, now: Timestamp) -> Result<()> {
        let Some(key) = &left.order_key else {
            return Ok(());
        };
        let order = (left.endpoint, left.incarnation, key);
        let Some(mut head) = self.find(HEAD, order, Row::of)? else {
            return Ok(());
        };
        // Another row than the head has left if the head is not blocked.
        if head.state == DeliveryState::Blocked {
            let due_at = head.due_at;
            self.wait_until(&mut head, due_at, now)?;
        }
        Ok(())
    }
}
