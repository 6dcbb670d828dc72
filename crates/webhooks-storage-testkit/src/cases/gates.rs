use webhooks_core::WorkerId;
use webhooks_core::storage::{Claim, DisabledBy, GateChange, SettleAs};

use crate::bench::{Bench, by_endpoint, endpoint};

pub(crate) async fn a_held_endpoint_waits_for_the_end_of_its_hold(t: &Bench) {
    t.save(&["a", "b"]).await;
    t.gate("a", GateChange::Hold { until: t.at(30) }).await;
    t.send("a").await;
    t.send("b").await;
    let early = t.claim(t.claim_at(t.at(29))).await;
    assert_eq!(by_endpoint(&early.deliveries), [("b", 1)].into());
    assert!(early.next_due.is_some_and(|due| due <= t.at(30)));
    assert_eq!(by_endpoint(&t.take(30).await), [("a", 1)].into());
}

pub(crate) async fn a_hold_set_later_counts_too(t: &Bench) {
    t.save(&["a"]).await;
    t.send_many("a", 2).await;
    let one = Claim {
        limit: 1,
        ..t.claim_at(t.at(0))
    };
    assert_eq!(t.claim(one).await.deliveries.len(), 1);
    t.gate("a", GateChange::Hold { until: t.at(30) }).await;
    t.gate("a", GateChange::Hold { until: t.at(60) }).await;
    assert!(t.take(31).await.is_empty());
    assert_eq!(t.take(60).await.len(), 1);
}

pub(crate) async fn a_paused_endpoint_gives_nothing(t: &Bench) {
    t.save(&["a"]).await;
    t.send("a").await;
    t.gate("a", GateChange::Pause).await;
    t.send("a").await;
    assert!(t.take(1).await.is_empty());
    t.gate("a", GateChange::Resume).await;
    assert_eq!(t.take(1).await.len(), 2);
}

pub(crate) async fn a_disabled_endpoint_gives_nothing(t: &Bench) {
    t.save(&["a"]).await;
    t.send("a").await;
    t.gate("a", GateChange::Disable(DisabledBy::Operator)).await;
    assert!(t.take(1).await.is_empty());
    t.gate("a", GateChange::Enable).await;
    assert_eq!(t.take(1).await.len(), 1);
    t.send("a").await;
    let mut off = endpoint("a");
    off.enabled = false;
    t.storage.save_endpoint(&off).await.unwrap();
    assert!(t.take(1).await.is_empty());
    t.save(&["a"]).await;
    assert_eq!(t.take(1).await.len(), 1);
}

pub(crate) async fn the_limit_of_leases_binds_all_workers(t: &Bench) {
    t.save(&["a", "b"]).await;
    t.send_many("a", 10).await;
    t.gate("a", GateChange::LimitLeased(Some(3))).await;
    let claim = Claim {
        limit: 2,
        ..t.claim_at(t.at(0))
    };
    let first = t.claim(claim).await.deliveries;
    assert_eq!(first.len(), 2);
    let other = WorkerId::named("worker_b");
    t.storage.beat(Some(&other), Some(t.at(0))).await.unwrap();
    let claim = Claim {
        worker: &other,
        ..t.claim_at(t.at(0))
    };
    assert_eq!(t.claim(claim).await.deliveries.len(), 1);
    t.send("b").await;
    assert_eq!(by_endpoint(&t.take(0).await), [("b", 1)].into());
    t.settle(&[t.settlement(&first[0], SettleAs::Delivered)])
        .await;
    assert_eq!(by_endpoint(&t.take(0).await), [("a", 1)].into());
    t.gate("a", GateChange::LimitLeased(None)).await;
    assert_eq!(t.take(0).await.len(), 6);
}

pub(crate) async fn closed_endpoints_do_not_hide_open_ones(t: &Bench) {
    let closed: Vec<_> = (0..20).map(|n| format!("closed_{n}")).collect();
    for name in &closed {
        t.save(&[name]).await;
        t.send_many(name, 20).await;
        t.gate(name, GateChange::Pause).await;
    }
    t.save(&["open"]).await;
    t.send_many("open", 3).await;
    let claim = Claim {
        limit: 10,
        per_endpoint: 10,
        ..t.claim_at(t.at(0))
    };
    assert_eq!(t.claim(claim).await.deliveries.len(), 3);
}
