use webhooks_core::storage::{
    Change, Claim, ClaimRoom, DeliveryQuery, GateChange, SettleAs, Settled,
};
use webhooks_core::{DeliveryId, Priority, WorkerId};

use crate::bench::{Bench, DEAD, by_endpoint, ids};

async fn beat(t: &Bench, worker: &WorkerId, second: i64) {
    let at = Some(t.at(second));
    t.storage.beat(Some(worker), at).await.unwrap();
}

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
        let (name, second) = (format!("victim_{crash}"), i64::from(crash) * 100);
        let worker = WorkerId::named(&name);
        beat(t, &worker, second).await;
        let claim = Claim {
            worker: &worker,
            ..t.claim_at(t.at(second))
        };
        let taken = t.claim(claim).await.deliveries.len();
        for later in [10, 13, 16, 19] {
            beat(t, &WorkerId::named("rescuer"), second + later).await;
        }
        assert_eq!(t.counts(None).await.ready, taken as u64);
    }
}

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

pub(crate) async fn suspects_do_not_hide_those_behind_them(t: &Bench) {
    suspects(t, &["a"], 40).await;
    let fresh = t.send_many("a", 3).await;
    let asking = |poison_suspects| Claim {
        poison_suspects,
        limit: 10,
        ..t.claim_at(t.at(200))
    };
    assert_eq!(ids(&t.claim(asking(0)).await.deliveries), fresh);
    let more = t.send_many("a", 3).await;
    let taken = t.claim(asking(1)).await.deliveries;
    assert_eq!(taken.len(), 4, "one suspect and all others");
    assert_eq!(taken.iter().filter(|d| d.is_poison_suspect()).count(), 1);
    assert!(more.iter().all(|id| ids(&taken).contains(id)));
}

pub(crate) async fn suspects_pass_the_gates_of_their_endpoint(t: &Bench) {
    suspects(t, &["a", "b"], 3).await;
    t.gate("a", GateChange::Pause).await;
    t.gate("b", GateChange::LimitLeased(Some(1))).await;
    let taken = t.take(200).await;
    assert_eq!((taken.len(), &*taken[0].endpoint_id), (1, "b"));
    t.gate("a", GateChange::Resume).await;
    assert_eq!(t.take(200).await.len(), 3);
}

pub(crate) async fn a_suspect_keeps_its_place_among_the_others(t: &Bench) {
    suspects(t, &["a"], 2).await;
    let urgent = send(t, Priority::Critical).await;
    let low = send(t, Priority::Low).await;
    let claim = Claim {
        limit: 2,
        poison_suspects: 1,
        ..t.claim_at(t.at(200))
    };
    let first = t.claim(claim).await.deliveries;
    assert_eq!(ids(&first)[0], urgent);
    assert!(first[1].is_poison_suspect());
    let rest = t.take(200).await;
    assert!(rest[0].is_poison_suspect());
    assert_eq!(ids(&rest)[1], low);
}

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
    assert_eq!(by_endpoint(&taken), [("a", 5), ("b", 1)].into());
    assert!(
        taken
            .iter()
            .all(|d| d.is_poison_suspect() == (*d.endpoint_id == *"b"))
    );
}

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
    let fresh = t.claim(without).await.deliveries;
    assert_eq!((fresh.len(), fresh[0].crashes), (1, 0));
}

pub(crate) async fn suspects_of_a_deleted_endpoint_are_cancelled(t: &Bench) {
    suspects(t, &["a"], 3).await;
    t.storage.delete_endpoint("a", t.at(200)).await.unwrap();
    let counts = t.counts(None).await;
    assert_eq!((counts.cancelled, counts.waiting()), (3, 0));
    assert!(t.take(200).await.is_empty());
}
