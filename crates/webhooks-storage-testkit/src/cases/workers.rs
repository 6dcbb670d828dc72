//! Who delivers.

use webhooks_core::WorkerId;
use webhooks_core::storage::WorkerRecord;

use crate::bench::Bench;

async fn workers(t: &Bench) -> Vec<WorkerRecord> {
    t.storage.workers().await.unwrap()
}

/// By id, with what each holds and when it was seen last.
pub(crate) async fn workers_are_listed_with_their_leases(t: &Bench) {
    t.save(&["a"]).await;
    t.send_many("a", 3).await;
    t.take(0).await;
    let other = WorkerId::named("a_worker");
    t.storage.beat(Some(&other), Some(t.at(7))).await.unwrap();
    let listed = workers(t).await;
    let expected = [
        WorkerRecord::new(other, t.at(7), 0),
        WorkerRecord::new(t.worker.clone(), t.at(0), 3),
    ];
    assert_eq!(listed, expected);
}

/// A look counts as no sign of life.
pub(crate) async fn who_only_reads_is_no_worker(t: &Bench) {
    t.storage.beat(None, Some(t.at(1))).await.unwrap();
    let listed = workers(t).await;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].id, t.worker);
}
