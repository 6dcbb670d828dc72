//! What keeps an endpoint's deliveries back: holds, pauses, disabling, limits of leases. A gate
//! binds all workers, and costs other endpoints nothing.

use webhooks_core::storage::spi::{Claim, GateChange, SettleAs};
use webhooks_core::storage::{DisabledBy, GateState};
use webhooks_core::{WebhookEndpoint, WorkerId};

use crate::bench::{Bench, by_endpoint, endpoint};

/// Nothing before the end, everything at it, and `next_due` says when. Other endpoints are not
/// held.
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

/// A hold that comes when the endpoint already has its turn counts as well, and so does a second
/// that is longer.
pub(crate) async fn a_hold_set_later_counts_too(t: &Bench) {
    t.save(&["a"]).await;
    t.send_many("a", 2).await;
    let one = Claim {
        limit: 1,
        ..t.claim_at(t.at(0))
    };
    // One is claimed, so that the endpoint has its turn for the other.
    assert_eq!(t.claim(one).await.deliveries.len(), 1);
    t.gate("a", GateChange::Hold { until: t.at(30) }).await;
    t.gate("a", GateChange::Hold { until: t.at(60) }).await;
    // After the end of the first hold, before that of the second.
    assert!(t.take(31).await.is_empty());
    assert_eq!(t.take(60).await.len(), 1);
}

/// What comes during the pause waits with the rest, and all of it goes once it is over.
pub(crate) async fn a_paused_endpoint_gives_nothing(t: &Bench) {
    t.save(&["a"]).await;
    t.send("a").await;
    t.gate("a", GateChange::Pause).await;
    t.send("a").await;
    assert!(t.take(1).await.is_empty());
    t.gate("a", GateChange::Resume).await;
    assert_eq!(t.take(1).await.len(), 2);
}

/// By a gate and by a save alike: both write the same field.
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

/// The limit is of all workers together, since it is the endpoint that has it. A settlement makes
/// room; taking the limit away lets the rest go.
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
    // Ten, less the three that were leased and the one after them.
    assert_eq!(t.take(0).await.len(), 6);
}

/// Twenty closed endpoints with a backlog stand before an open one. A claim that spends its limit
/// on looking at them brings nothing, for as long as they are closed.
pub(crate) async fn closed_endpoints_do_not_hide_open_ones(t: &Bench) {
    let closed: Vec<_> = (0..20).map(|n| format!("closed_{n}")).collect();
    for name in &closed {
        t.save(&[name]).await;
        t.send_many(name, 20).await;
        t.gate(name, GateChange::Pause).await;
    }
    t.save(&["open"]).await;
    t.send_many("open", 3).await;
    // Fewer than there are deliveries of closed endpoints.
    let claim = Claim {
        limit: 10,
        per_endpoint: 10,
        ..t.claim_at(t.at(0))
    };
    assert_eq!(t.claim(claim).await.deliveries.len(), 3);
}

/// What answers have brought about is forgotten; what was decided by hand, and being disabled,
/// stays.
pub(crate) async fn a_reset_clears_what_holds_an_endpoint_back(t: &Bench) {
    t.save(&["a"]).await;
    for change in [
        GateChange::Pause,
        GateChange::Disable(DisabledBy::Failing),
        GateChange::Hold { until: t.at(60) },
        GateChange::LimitLeased(Some(3)),
        GateChange::FailingSince(t.at(-60)),
        GateChange::Reset,
    ] {
        t.gate("a", change).await;
    }
    let record = t.record("a").await;
    // Left are the pause, and that it is disabled.
    let mut reset = GateState::default().anew();
    (reset.paused, reset.disabled) = (true, Some(DisabledBy::Failing));
    assert_eq!((record.endpoint.enabled, record.gate), (false, reset));
}

/// An outcome from before an operator's reset may be stored after it. It names its epoch, and does
/// nothing: no gate, no revision. In the current epoch the same changes count.
pub(crate) async fn what_was_decided_in_an_earlier_epoch_is_void(t: &Bench) {
    t.save(&["a"]).await;
    // What processes decide by themselves, by an endpoint's responses.
    let decided = [
        GateChange::Hold { until: t.at(60) },
        GateChange::LimitLeased(Some(3)),
        GateChange::FailingSince(t.at(-60)),
        GateChange::Disable(DisabledBy::Gone),
    ];
    let of_tenant = WebhookEndpoint {
        tenant: Some("org_1".into()),
        ..endpoint("a")
    };
    // Each of the four ways in which an epoch begins.
    for step in 0..4 {
        let epoch = t.record("a").await.gate.epoch;
        match step {
            0 => t.gate("a", GateChange::Enable).await,
            1 => t.gate("a", GateChange::Reset).await,
            2 => t.storage.save_endpoint(&of_tenant).await.unwrap(),
            _ => {
                t.delete("a", t.at(0)).await;
                t.save(&["a"]).await;
            }
        }
        let before = t.record("a").await;
        assert!(before.gate.epoch > epoch, "step {step} begins one");
        for change in decided {
            t.gate_of("a", Some(epoch), change, t.at(0)).await;
        }
        let after = t.record("a").await;
        // Not even a revision: each would be read by every node.
        assert_eq!(
            (&after.gate, after.revision),
            (&before.gate, before.revision)
        );
        assert!(after.endpoint.enabled);
    }
    // The same in the current epoch.
    let epoch = t.record("a").await.gate.epoch;
    for change in decided {
        t.gate_of("a", Some(epoch), change, t.at(0)).await;
    }
    let gate = t.record("a").await.gate;
    assert_eq!(
        (gate.held_until, gate.max_leased),
        (Some(t.at(60)), Some(3))
    );
    assert_eq!(gate.disabled, Some(DisabledBy::Gone));
}

/// An endpoint that was disabled by hand takes no events. A late failure that renames the reason
/// would have it take events again, and an automatic recovery could enable it.
pub(crate) async fn answers_disable_nothing_that_was_disabled_by_hand(t: &Bench) {
    let off = WebhookEndpoint {
        enabled: false,
        ..endpoint("b")
    };
    t.save(&["a"]).await;
    t.storage.save_endpoint(&off).await.unwrap();
    t.gate("a", GateChange::Disable(DisabledBy::Operator)).await;
    // Disabled by a gate, and saved as disabled.
    for (id, by) in [("a", Some(DisabledBy::Operator)), ("b", None)] {
        t.gate(id, GateChange::Disable(DisabledBy::Failing)).await;
        let record = t.record(id).await;
        assert_eq!(record.gate.disabled, by);
        assert!(!record.takes_events());
    }
}
