//! What storages around other storages have in common.

/// Implements [`WebhookStorage`](crate::storage::WebhookStorage) for what has a storage inside:
/// each call goes there, those too that the trait has defaults for, which would hide what the
/// storage inside does. The parameters of the type come first, and last what gives the storage
/// inside.
///
/// With a block behind that, the calls that read and write definitions are those of the block.
///
/// ```
/// use webhooks_core::forward_storage;
/// use webhooks_core::storage::WebhookStorage;
///
/// #[derive(Debug)]
/// struct Counted<S>(S);
///
/// forward_storage! { [S: WebhookStorage] Counted<S>, |counted| counted.0 }
/// ```
#[macro_export]
macro_rules! forward_storage {
    ([$($parameters:tt)*] $type:ty, |$outer:ident| $inner:expr) => {
        $crate::forward_storage! { [$($parameters)*] $type, |$outer| $inner, {
            async fn save_endpoint(
                &self,
                endpoint: &$crate::WebhookEndpoint,
            ) -> $crate::Result<()> {
                let $outer = self;
                $inner.save_endpoint(endpoint).await
            }

            async fn save_definition(
                &self,
                endpoint: &$crate::WebhookEndpoint,
                expected: $crate::storage::Expected,
            ) -> $crate::Result<$crate::storage::Saved> {
                let $outer = self;
                $inner.save_definition(endpoint, expected).await
            }

            async fn save_secrets(
                &self,
                endpoint: &$crate::WebhookEndpoint,
                expected: u64,
            ) -> $crate::Result<$crate::storage::Saved> {
                let $outer = self;
                $inner.save_secrets(endpoint, expected).await
            }

            async fn rewrite_credentials(
                &self,
                stored: &$crate::WebhookEndpoint,
                rewritten: &$crate::WebhookEndpoint,
            ) -> $crate::Result<bool> {
                let $outer = self;
                $inner.rewrite_credentials(stored, rewritten).await
            }

            async fn endpoint_record(
                &self,
                id: &str,
            ) -> $crate::Result<Option<$crate::storage::EndpointRecord>> {
                let $outer = self;
                $inner.endpoint_record(id).await
            }

            async fn get_endpoint(
                &self,
                id: &str,
            ) -> $crate::Result<Option<$crate::WebhookEndpoint>> {
                let $outer = self;
                $inner.get_endpoint(id).await
            }

            async fn endpoints_since(
                &self,
                revision: u64,
                limit: usize,
            ) -> $crate::Result<$crate::storage::spi::EndpointChanges> {
                let $outer = self;
                $inner.endpoints_since(revision, limit).await
            }
        } }
    };
    ([$($parameters:tt)*] $type:ty, |$outer:ident| $inner:expr, { $($definitions:tt)* }) => {
        #[$crate::storage::async_trait]
        impl<$($parameters)*> $crate::storage::WebhookStorage for $type {
            $($definitions)*

            async fn delete_endpoint(
                &self,
                id: &str,
                expected: $crate::storage::Expected,
                now: $crate::Timestamp,
            ) -> $crate::Result<$crate::storage::Deleted> {
                let $outer = self;
                $inner.delete_endpoint(id, expected, now).await
            }

            async fn set_gates(
                &self,
                gates: &[$crate::storage::spi::EndpointGate],
                now: $crate::Timestamp,
            ) -> $crate::Result<()> {
                let $outer = self;
                $inner.set_gates(gates, now).await
            }

            async fn enqueue(
                &self,
                events: &[$crate::storage::spi::NewEvent],
                worker: Option<&$crate::WorkerId>,
                now: $crate::Timestamp,
            ) -> $crate::Result<$crate::storage::spi::Commit<$crate::storage::spi::Enqueued>> {
                let $outer = self;
                $inner.enqueue(events, worker, now).await
            }

            async fn deliver_events(
                &self,
                deliveries: &[$crate::storage::spi::EventDelivery],
                now: $crate::Timestamp,
            ) -> $crate::Result<Vec<$crate::storage::spi::DeliveredEvent>> {
                let $outer = self;
                $inner.deliver_events(deliveries, now).await
            }

            async fn fan_out(
                &self,
                part: &$crate::storage::spi::FanOutPart,
                now: $crate::Timestamp,
            ) -> $crate::Result<Option<$crate::storage::spi::Enqueued>> {
                let $outer = self;
                $inner.fan_out(part, now).await
            }

            async fn fan_outs(
                &self,
                idle_since: $crate::Timestamp,
                limit: usize,
            ) -> $crate::Result<Vec<$crate::storage::spi::FanOut>> {
                let $outer = self;
                $inner.fan_outs(idle_since, limit).await
            }

            async fn claim(
                &self,
                claim: &$crate::storage::spi::Claim<'_>,
            ) -> $crate::Result<$crate::storage::spi::Claimed> {
                let $outer = self;
                $inner.claim(claim).await
            }

            async fn leased_by(
                &self,
                worker: &$crate::WorkerId,
                after: Option<$crate::DeliveryId>,
                limit: usize,
            ) -> $crate::Result<Vec<$crate::storage::spi::HeldLease>> {
                let $outer = self;
                $inner.leased_by(worker, after, limit).await
            }

            async fn settle(
                &self,
                worker: &$crate::WorkerId,
                settlements: &[$crate::storage::spi::Settlement],
                now: $crate::Timestamp,
            ) -> $crate::Result<Vec<$crate::storage::spi::Settled>> {
                let $outer = self;
                $inner.settle(worker, settlements, now).await
            }

            async fn beat(
                &self,
                worker: Option<&$crate::WorkerId>,
                at: Option<$crate::Timestamp>,
            ) -> $crate::Result<$crate::storage::spi::Beat> {
                let $outer = self;
                $inner.beat(worker, at).await
            }

            async fn deliveries(
                &self,
                query: &$crate::storage::DeliveryQuery,
            ) -> $crate::Result<$crate::storage::Page<$crate::storage::DeliveryRecord>> {
                let $outer = self;
                $inner.deliveries(query).await
            }

            async fn change(
                &self,
                query: &$crate::storage::DeliveryQuery,
                to: $crate::storage::Change,
                limit: usize,
                now: $crate::Timestamp,
            ) -> $crate::Result<$crate::storage::Changed> {
                let $outer = self;
                $inner.change(query, to, limit, now).await
            }

            async fn counts(
                &self,
                endpoint_id: Option<&str>,
            ) -> $crate::Result<$crate::storage::Counts> {
                let $outer = self;
                $inner.counts(endpoint_id).await
            }

            async fn events(
                &self,
                query: &$crate::storage::EventQuery,
            ) -> $crate::Result<
                $crate::storage::Page<$crate::storage::EventRecord, $crate::EventId>,
            > {
                let $outer = self;
                $inner.events(query).await
            }

            async fn counts_of(
                &self,
                endpoint_ids: &[::std::sync::Arc<str>],
            ) -> $crate::Result<Vec<$crate::storage::Counts>> {
                let $outer = self;
                $inner.counts_of(endpoint_ids).await
            }

            async fn count(
                &self,
                query: &$crate::storage::DeliveryQuery,
                at_most: u64,
            ) -> $crate::Result<u64> {
                let $outer = self;
                $inner.count(query, at_most).await
            }

            async fn count_by(
                &self,
                query: &$crate::storage::DeliveryQuery,
                by: &[$crate::storage::GroupBy],
                at_most: u64,
            ) -> $crate::Result<$crate::storage::Groups> {
                let $outer = self;
                $inner.count_by(query, by, at_most).await
            }

            async fn oldest_ready(
                &self,
                now: $crate::Timestamp,
            ) -> $crate::Result<Option<$crate::Timestamp>> {
                let $outer = self;
                $inner.oldest_ready(now).await
            }

            async fn workers(&self) -> $crate::Result<Vec<$crate::storage::WorkerRecord>> {
                let $outer = self;
                $inner.workers().await
            }

            async fn add_stats(
                &self,
                deltas: &[$crate::storage::spi::StatDelta],
            ) -> $crate::Result<()> {
                let $outer = self;
                $inner.add_stats(deltas).await
            }

            async fn stats(
                &self,
                query: &$crate::storage::StatQuery,
            ) -> $crate::Result<Vec<$crate::storage::StatBucket>> {
                let $outer = self;
                $inner.stats(query).await
            }

            fn documents(&self) -> Option<&dyn $crate::storage::DocumentStore> {
                let $outer = self;
                $inner.documents()
            }

            async fn sweep(
                &self,
                retention: &$crate::storage::Retention,
                limit: usize,
                now: $crate::Timestamp,
            ) -> $crate::Result<$crate::storage::spi::Swept> {
                let $outer = self;
                $inner.sweep(retention, limit, now).await
            }

            async fn read_outbox(
                &self,
                limit: usize,
                bytes: usize,
            ) -> $crate::Result<Vec<$crate::storage::spi::OutboxEvent>> {
                let $outer = self;
                $inner.read_outbox(limit, bytes).await
            }

            async fn set_outbox_aside(
                &self,
                id: $crate::EventId,
                reason: &str,
                now: $crate::Timestamp,
            ) -> $crate::Result<bool> {
                let $outer = self;
                $inner.set_outbox_aside(id, reason, now).await
            }

            async fn enqueue_outbox(
                &self,
                events: &[$crate::storage::spi::NewEvent],
                worker: Option<&$crate::WorkerId>,
                now: $crate::Timestamp,
            ) -> $crate::Result<
                $crate::storage::spi::Commit<Option<$crate::storage::spi::Enqueued>>,
            > {
                let $outer = self;
                $inner.enqueue_outbox(events, worker, now).await
            }

            async fn wait(&self) -> $crate::Result<()> {
                let $outer = self;
                $inner.wait().await
            }

            fn keeps_fan_outs(&self) -> bool {
                let $outer = self;
                $inner.keeps_fan_outs()
            }

            fn limits_rate(&self) -> bool {
                let $outer = self;
                $inner.limits_rate()
            }
        }
    };
}
