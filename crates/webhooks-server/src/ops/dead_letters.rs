//! Dead letters, one by one. In bulk they are changed by jobs.

use better_auth_webhooks::storage::DeliveryRecord;
use webhooks_core::{DeliveryState, WebhookError};

use super::audit::Action;
use super::operations::Ops;
use crate::access::{Caller, Scope};
use crate::problem::Problem;

impl Ops {
    /// One dead letter with its attempts.
    pub(crate) async fn dead_letter(
        &self,
        caller: &Caller,
        delivery_id: &str,
    ) -> Result<DeliveryRecord, Problem> {
        caller.needs(Scope::DeliveriesRead)?;
        self.seen_dead_letter(caller, delivery_id).await
    }

    /// Sends a dead letter again; the delivery as it is then.
    pub(crate) async fn replay_dead_letter(
        &self,
        caller: &Caller,
        delivery_id: &str,
    ) -> Result<DeliveryRecord, Problem> {
        caller.needs(Scope::DeliveriesWrite)?;
        let record = self.seen_dead_letter(caller, delivery_id).await?;
        if record.delivery.event.payload.is_empty() {
            return Err(WebhookError::PayloadErased(delivery_id.into()).into());
        }
        self.note(caller, Action::DeadLetterReplay, delivery_id, Vec::new())
            .await?;
        let replayed = self.system.dead_letters().replay(delivery_id).await;
        self.again(delivery_id, replayed).await
    }

    /// Drops a dead letter.
    pub(crate) async fn purge_dead_letter(
        &self,
        caller: &Caller,
        delivery_id: &str,
    ) -> Result<(), Problem> {
        caller.needs(Scope::DeliveriesPurge)?;
        self.seen_dead_letter(caller, delivery_id).await?;
        self.note(caller, Action::DeadLetterPurge, delivery_id, Vec::new())
            .await?;
        Ok(self.system.dead_letters().purge(delivery_id).await?)
    }

    /// The dead letter with this id, if the caller may see it.
    async fn seen_dead_letter(
        &self,
        caller: &Caller,
        delivery_id: &str,
    ) -> Result<DeliveryRecord, Problem> {
        let record = self.seen_delivery(caller, delivery_id).await?;
        match record.state {
            DeliveryState::Dead => Ok(record),
            _ => Err(Problem::not_found(format!(
                "{delivery_id} is no dead letter"
            ))),
        }
    }
}
