//! Deliveries whose holders died twice. A process holds one of them at a time, so that a third
//! death names the guilty one; a claim therefore says how many it takes.

use webhooks_core::storage::spi::{Claim, ClaimRoom, GateChange, SettleAs, Settled};
use webhooks_core::storage::{Change, DeliveryQuery};
use webhooks_core::{DeliveryId, Priority, WorkerId};

use crate::bench::{Bench, DEAD, by_endpoint, ids};

/// Beats as this worker.
async fn beat(t: &Bench, worker: &WorkerId, second: i64) {
    let at = Some(t.at(second));
    t.storage.beat(Some(worker), at).await.unwrap();
}

/// Sends one event to endpoint `a`.
async fn send(t: &Bench, priority: Priority) -> DeliveryId {
    let mut new = t.event(&["a"]);
    new.priority = priority;
    t.enqueue(&[new.clone()]).await;
    new.deliveries[0].id
}

/// Sends `count` events to each endpoint and lets two workers die with all of them.
async fn suspects(t: &Bench, endpoints: &[&str], count: i64) {
    t.save(endpoints).await;
    for endpoint in endpoints {
        t.send_many(endpoint, count).await;
    }
    for crash in 0..2 {
        // Each takes everything and dies with it.
        let (name, second) = (format!("victim_{crash}"), i64::from(crash) * 100);
        let worker = WorkerId::named(&name);
        beat(t, &worker, second).await;
        let claim = Claim {
            worker: &worker,
            ..t.claim_at(t.at(second))
        };
        let taken = t.claim(claim).await.deliveries.len();
        for later in [10, 13, 16, 19] {
            // A storage may take them back in several beats.
            beat(t, &WorkerId::named("rescuer"), second + later).await;
        }
        assert_eq!(t.counts(None).await.ready, taken as u64);
    }
}

/// Not one more, since the process has to be able to tell which of them killed it.
pub(crate) async fn suspects_come_as_many_as_are_asked_for(t: &Bench) {
    suspects(t, &["a", "b"], 5).await;
    let asking = |poison_suspects| Claim {
        poison_suspects,
        ..t.claim_at(t.at(200))
    };
    assert!(t.claim(asking(0)).await.deliveries.is_empty());
    let one = t.claim(asking(1)).await.deliveries;
    assert_eq!((one.len(), one[0].crashes), (1, 2));
    assert_eq!(t.claim(asking(3)).await.deliveries.len(), 3);
    assert_eq!(t.claim(asking(100)).await.deliveries.len(), 6);
    assert_eq!(t.counts(None).await.leased, 10);
}

/// A claim that may take none passes over forty of them to what is behind. Otherwise one bad
/// deployment, which makes suspects of all that was in flight, would stop the endpoint.
pub(crate) async fn suspects_do_not_hide_those_behind_them(t: &Bench) {
    suspects(t, &["a"], 40).await;
    let fresh = t.send_many("a", 3).await;
    let asking = |poison_suspects| Claim {
        poison_suspects,
        limit: 10,
        ..t.claim_at(t.at(200))
    };
    assert_eq!(ids(&t.claim(asking(0)).await.deliveries), fresh);
    // More that are sound: they come besides the one suspect.
    let more = t.send_many("a", 3).await;
    let taken = t.claim(asking(1)).await.deliveries;
    assert_eq!(taken.len(), 4, "one suspect and all others");
    assert_eq!(taken.iter().filter(|d| d.is_poison_suspect()).count(), 1);
    assert!(more.iter().all(|id| ids(&taken).contains(id)));
}

/// Being a suspect opens no gate.
pub(crate) async fn suspects_pass_the_gates_of_their_endpoint(t: &Bench) {
    suspects(t, &["a", "b"], 3).await;
    t.gate("a", GateChange::Pause).await;
    t.gate("b", GateChange::LimitLeased(Some(1))).await;
    let taken = t.take(200).await;
    // Of `b` one, as its limit says; of `a`, which is paused, none.
    assert_eq!((taken.len(), &*taken[0].endpoint_id), (1, "b"));
    t.gate("a", GateChange::Resume).await;
    assert_eq!(t.take(200).await.len(), 3);
}

/// By priority and time, as if it were none.
pub(crate) async fn a_suspect_keeps_its_place_among_the_others(t: &Bench) {
    suspects(t, &["a"], 2).await;
    let urgent = send(t, Priority::Critical).await;
    let low = send(t, Priority::Low).await;
    let claim = Claim {
        limit: 2,
        poison_suspects: 1,
        ..t.claim_at(t.at(200))
    };
    // The urgent one first, then the suspect, as the older of two that are equal.
    let first = t.claim(claim).await.deliveries;
    assert_eq!(ids(&first)[0], urgent);
    assert!(first[1].is_poison_suspect());
    let rest = t.take(200).await;
    assert!(rest[0].is_poison_suspect());
    assert_eq!(ids(&rest)[1], low);
}

/// The place is kept for as long as no claim may take it: it is not put behind what came meanwhile.
pub(crate) async fn a_suspect_is_the_next_before_all_that_came_later(t: &Bench) {
    suspects(t, &["a"], 1).await;
    let later: Vec<_> = (0..50).map(|n| t.event_at(&["a"], t.at(n))).collect();
    t.enqueue_at(&later, t.at(60)).await;
    let later: Vec<_> = later.iter().map(|new| new.deliveries[0].id).collect();
    let room = [ClaimRoom {
        endpoint_id: "a".into(),
        deliveries: 1,
    }];
    let claim = |room| Claim {
        room,
        poison_suspects: 1,
        ..t.claim_at(t.at(200))
    };
    let next = t.claim(claim(&room)).await.deliveries;
    assert!(next.len() == 1 && next[0].is_poison_suspect());
    assert_eq!(ids(&t.claim(claim(&[])).await.deliveries), later);
}

/// The one suspect that a claim may take stands behind a backlog of its own endpoint. That must not
/// keep another endpoint's from coming.
pub(crate) async fn a_suspect_behind_a_backlog_holds_no_other_one_back(t: &Bench) {
    suspects(t, &["a", "b"], 1).await;
    // Its endpoint gives what is more urgent first.
    for _ in 0..20 {
        send(t, Priority::Critical).await;
    }
    let claim = Claim {
        per_endpoint: 5,
        poison_suspects: 1,
        ..t.claim_at(t.at(200))
    };
    let taken = t.claim(claim).await.deliveries;
    // `a` gives five urgent ones, and the suspect that may come is that of `b`.
    assert_eq!(by_endpoint(&taken), [("a", 5), ("b", 1)].into());
    assert!(
        taken
            .iter()
            .all(|d| d.is_poison_suspect() == (*d.endpoint_id == *"b"))
    );
}

/// A retry changes nothing about what it may have done, a replay by an operator does: that is a new
/// series, with crashes at 0.
pub(crate) async fn a_suspect_that_is_retried_or_replayed_is_as_it_was(t: &Bench) {
    suspects(t, &["a"], 1).await;
    let suspect = t.take(200).await.remove(0);
    let retry = SettleAs::Retry { at: t.at(300) };
    let settled = t.settle(&[t.failed(&suspect, retry)]).await;
    assert_eq!(settled, [Settled::Applied]);
    let without = Claim {
        poison_suspects: 0,
        ..t.claim_at(t.at(300))
    };
    // After a retry it is as suspect as before.
    assert!(t.claim(without).await.deliveries.is_empty());
    let again = t.take(300).await.remove(0);
    assert_eq!((again.id, again.crashes), (suspect.id, 2));
    t.settle(&[t.failed(&again, DEAD)]).await;
    let query = DeliveryQuery::default();
    let replayed = t.storage.change(&query, Change::Replay, 10, t.at(400));
    assert_eq!(replayed.await.unwrap().changed, 1);
    let without = Claim {
        poison_suspects: 0,
        ..t.claim_at(t.at(400))
    };
    // After a replay it comes where no suspect may.
    let fresh = t.claim(without).await.deliveries;
    assert_eq!((fresh.len(), fresh[0].crashes), (1, 0));
}

/// As all that waits for an endpoint which goes.
pub(crate) async fn suspects_of_a_deleted_endpoint_are_cancelled(t: &Bench) {
    suspects(t, &["a"], 3).await;
    t.delete("a", t.at(200)).await;
    let counts = t.counts(None).await;
    assert_eq!((counts.cancelled, counts.waiting()), (3, 0));
    assert!(t.take(200).await.is_empty());
}
