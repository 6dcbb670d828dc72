use webhooks_core::Result;
use webhooks_core::storage::Counts;

use crate::args::Args;
use crate::plain_storage::PlainStorage;
use crate::script::Script;

impl PlainStorage {
    pub(crate) async fn count(&self, endpoint_id: Option<&str>) -> Result<Counts> {
        let partitions = match endpoint_id {
            Some(id) => {
                let partition = self.connection.keys.partition_of(id);
                partition..partition + 1
            }
            None => 0..self.connection.keys.partitions(),
        };
        let mut args = Args::default();
        args.text(endpoint_id.unwrap_or_default());
        let mut sum = Counts::default();
        for partition in partitions {
            let script = Script::Counts;
            let mut reply = self.connection.run(partition, script, "0", &args).await?;
            for total in [
                &mut sum.enqueued,
                &mut sum.delivered,
                &mut sum.dead,
                &mut sum.cancelled,
                &mut sum.purged,
                &mut sum.ready,
                &mut sum.scheduled,
                &mut sum.leased,
                &mut sum.suspended,
            ] {
                *total += reply.number::<u64>()?;
            }
        }
        Ok(sum)
    }
}
