//! Deliveries.

use better_auth_webhooks::storage::{Change, DeliveryQuery, DeliveryRecord, GroupBy, Groups, Page};
use webhooks_core::{DeliveryId, DeliveryState, WebhookError};

use super::audit::Action;
use super::operations::Ops;
use crate::access::{Caller, Scope};
use crate::problem::Problem;

impl Ops {
    /// Deliveries, newest first.
    pub(crate) async fn deliveries(
        &self,
        caller: &Caller,
        mut query: DeliveryQuery,
    ) -> Result<Page<DeliveryRecord>, Problem> {
        caller.needs(Scope::DeliveriesRead)?;
        self.narrow(caller, &mut query).await?;
        Ok(self.system.deliveries(&query).await?)
    }

    /// How many there are, at most so many.
    pub(crate) async fn count(
        &self,
        caller: &Caller,
        mut query: DeliveryQuery,
        at_most: u64,
    ) -> Result<u64, Problem> {
        caller.needs(Scope::DeliveriesRead)?;
        self.narrow(caller, &mut query).await?;
        Ok(self.system.count(&query, at_most).await?)
    }

    /// How many there are of each group, of the newest so many.
    pub(crate) async fn count_by(
        &self,
        caller: &Caller,
        mut query: DeliveryQuery,
        by: &[GroupBy],
        at_most: u64,
    ) -> Result<Groups, Problem> {
        caller.needs(Scope::DeliveriesRead)?;
        self.narrow(caller, &mut query).await?;
        Ok(self.system.count_by(&query, by, at_most).await?)
    }

    /// A delivery with its attempts.
    pub(crate) async fn delivery(
        &self,
        caller: &Caller,
        delivery_id: &str,
    ) -> Result<DeliveryRecord, Problem> {
        caller.needs(Scope::DeliveriesRead)?;
        self.seen_delivery(caller, delivery_id).await
    }

    /// Cancels one that waits; it as it is then.
    pub(crate) async fn cancel(
        &self,
        caller: &Caller,
        delivery_id: &str,
    ) -> Result<DeliveryRecord, Problem> {
        caller.needs(Scope::DeliveriesWrite)?;
        let record = self.seen_delivery(caller, delivery_id).await?;
        self.note(caller, Action::DeliveryCancel, delivery_id, Vec::new())
            .await?;
        let query = DeliveryQuery::of_delivery(record.delivery.id);
        let changed = self.system.change_some(&query, Change::Cancel, 1).await?;
        if changed.changed == 0 {
            let text = format!(
                "{delivery_id} is {}, and only what waits can be cancelled",
                record.state
            );
            return Err(Problem::wrong_state(text));
        }
        Ok(self.system.delivery(delivery_id).await?)
    }

    /// Sends one again that has ended.
    pub(crate) async fn resend(
        &self,
        caller: &Caller,
        delivery_id: &str,
    ) -> Result<DeliveryRecord, Problem> {
        caller.needs(Scope::DeliveriesWrite)?;
        let record = self.seen_delivery(caller, delivery_id).await?;
        if !has_ended(record.state) {
            let text = format!(
                "{delivery_id} is {}, and only what has ended can be sent again",
                record.state
            );
            return Err(Problem::wrong_state(text));
        }
        self.note(caller, Action::DeliveryResend, delivery_id, Vec::new())
            .await?;
        self.again(delivery_id, self.system.resend(delivery_id).await)
            .await
    }

    /// What became of a delivery that is sent again.
    pub(super) async fn again(
        &self,
        delivery_id: &str,
        sent: Result<(), WebhookError>,
    ) -> Result<DeliveryRecord, Problem> {
        match sent {
            Ok(()) => Ok(self.system.delivery(delivery_id).await?),
            // It is there, or it would not have been seen.
            Err(WebhookError::DeliveryNotFound(_)) => {
                let text =
                    format!("{delivery_id} has changed meanwhile, or its endpoint is no more");
                Err(Problem::wrong_state(text))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The delivery with this id, if the caller may see it: one to an endpoint of their tenant.
    pub(super) async fn seen_delivery(
        &self,
        caller: &Caller,
        delivery_id: &str,
    ) -> Result<DeliveryRecord, Problem> {
        let id: DeliveryId = delivery_id.parse()?;
        let mut query = DeliveryQuery {
            with_attempts: true,
            ..DeliveryQuery::of_delivery(id)
        };
        self.narrow(caller, &mut query).await?;
        let found = self.system.deliveries(&query).await?.items.pop();
        found.ok_or_else(|| WebhookError::DeliveryNotFound(delivery_id.into()).into())
    }
}

const fn has_ended(state: DeliveryState) -> bool {
    matches!(
        state,
        DeliveryState::Delivered | DeliveryState::Dead | DeliveryState::Cancelled
    )
}
