//! Outcomes of leased deliveries. Only the holder of the current token changes one; all the others
//! are told that they are late.

use webhooks_core::storage::spi::{Claim, SettleAs, Settled};
use webhooks_core::{AttemptRecord, DeadReason, DeliveryId, DeliveryState, FailureKind, WorkerId};

use crate::bench::{Bench, DEAD, ids, token};

/// It is over: no lease, no reason, no further claim, and the attempt counts.
pub(crate) async fn delivered_ends_it(t: &Bench) {
    t.save(&["a"]).await;
    let delivery = t.lease_one("a").await;
    let settled = t
        .settle_at(&[t.failed(&delivery, SettleAs::Delivered)], t.at(1))
        .await;
    assert_eq!(settled, [Settled::Applied]);
    let record = t.delivery(delivery.id).await;
    assert_eq!(record.state, DeliveryState::Delivered);
    assert_eq!((record.delivery.attempts, record.updated_at), (1, t.at(1)));
    assert!(record.delivery.lease.is_none() && record.dead_reason.is_none());
    assert!(t.take(100).await.is_empty());
}

/// Not before its time, then with its attempt counted and under a new token.
pub(crate) async fn a_retry_waits_for_its_time(t: &Bench) {
    t.save(&["a"]).await;
    let delivery = t.lease_one("a").await;
    let retry = SettleAs::Retry { at: t.at(10) };
    assert_eq!(
        t.settle(&[t.failed(&delivery, retry)]).await,
        [Settled::Applied]
    );
    let record = t.delivery(delivery.id).await;
    assert_eq!(record.state, DeliveryState::Scheduled);
    assert_eq!(record.delivery.due_at, t.at(10));
    assert!(t.take(9).await.is_empty());
    let again = t.take(10).await.remove(0);
    assert_eq!((again.id, again.attempts), (delivery.id, 1));
    assert!(token(&again) > token(&delivery));
}

/// A time that is now or over makes it ready at once, without a detour through what is scheduled.
pub(crate) async fn a_retry_that_is_due_is_ready(t: &Bench) {
    t.save(&["a"]).await;
    for at in [-5, 0] {
        let delivery = t.lease_one("a").await;
        let retry = SettleAs::Retry { at: t.at(at) };
        t.settle(&[t.failed(&delivery, retry)]).await;
        assert_eq!(t.state(delivery.id).await, DeliveryState::Ready);
        let again = t.take(0).await;
        assert_eq!(ids(&again), [delivery.id]);
        t.settle(&[t.settlement(&again[0], SettleAs::Delivered)])
            .await;
    }
}

/// By its time of sending, not by that of the failure: an event that failed first must not be
/// overtaken by all that came after it.
pub(crate) async fn a_retry_keeps_its_place(t: &Bench) {
    t.save(&["a"]).await;
    let sent = t.send_many("a", 3).await;
    let taken = t.take(0).await;
    // The newest comes back first; the oldest is still the first to go.
    for delivery in taken.iter().rev() {
        let retry = SettleAs::Retry { at: t.at(0) };
        t.settle(&[t.failed(delivery, retry)]).await;
    }
    assert_eq!(ids(&t.take(0).await), sent);
}

/// An operator decides by the reason whether a replay makes sense.
pub(crate) async fn dead_keeps_its_reason(t: &Bench) {
    t.save(&["a"]).await;
    for reason in [
        DeadReason::AttemptsExhausted,
        DeadReason::PermanentFailure,
        DeadReason::Poison,
        DeadReason::BacklogFull,
        DeadReason::Expired,
    ] {
        let delivery = t.lease_one("a").await;
        t.settle(&[t.failed(&delivery, SettleAs::Dead { reason })])
            .await;
        let record = t.delivery(delivery.id).await;
        assert_eq!(record.state, DeliveryState::Dead);
        assert_eq!(record.dead_reason, Some(reason));
    }
    assert_eq!(t.counts(None).await.dead, 5);
}

/// What the system gives back for reasons of its own, a shutdown or a full lane, takes no attempt
/// from the delivery and leaves no line in the log.
pub(crate) async fn a_release_costs_no_attempt(t: &Bench) {
    t.save(&["a"]).await;
    let delivery = t.lease_one("a").await;
    let release = SettleAs::Release { at: t.at(0) };
    let settled = t.settle(&[t.settlement(&delivery, release)]).await;
    assert_eq!(settled, [Settled::Applied]);
    let again = t.take(0).await.remove(0);
    assert_eq!((again.attempts, again.crashes), (0, 0));
    assert!(t.delivery(again.id).await.attempts.is_empty());
}

/// As after an open circuit: given back, and due only when the circuit may close.
pub(crate) async fn a_release_may_be_for_later(t: &Bench) {
    t.save(&["a"]).await;
    let delivery = t.lease_one("a").await;
    let release = SettleAs::Release { at: t.at(10) };
    t.settle(&[t.settlement(&delivery, release)]).await;
    assert_eq!(t.state(delivery.id).await, DeliveryState::Scheduled);
    assert!(t.take(9).await.is_empty());
    assert_eq!(t.take(10).await.len(), 1);
}

/// The lease was lost and taken again, by the same worker even. Whatever the earlier holder
/// reports, the current lease stands.
pub(crate) async fn an_old_token_changes_nothing(t: &Bench) {
    t.save(&["a"]).await;
    let old = t.lease_one("a").await;
    let release = SettleAs::Release { at: t.at(0) };
    t.settle(&[t.settlement(&old, release)]).await;
    // The same worker holds it again, under the next token.
    let current = t.take(0).await.remove(0);
    for settle_as in [SettleAs::Delivered, DEAD, release] {
        let stale = t.settle(&[t.settlement(&old, settle_as)]).await;
        assert_eq!(stale, [Settled::Stale]);
    }
    // Untouched by three attempts to end it.
    let record = t.delivery(old.id).await;
    assert_eq!(record.delivery.lease, current.lease);
    assert_eq!(record.delivery.attempts, 0);
    let fine = t.settle(&[t.failed(&current, SettleAs::Delivered)]).await;
    assert_eq!(fine, [Settled::Applied]);
}

/// A token is not enough: numbers are easily the same, and a storage may give each delivery its
/// own.
pub(crate) async fn only_the_holder_settles(t: &Bench) {
    t.save(&["a"]).await;
    let delivery = t.lease_one("a").await;
    let stranger = WorkerId::named("worker_b");
    let settlement = [t.failed(&delivery, SettleAs::Delivered)];
    // The very settlement that its holder would make.
    let by_stranger = t.storage.settle(&stranger, &settlement, t.at(0)).await;
    assert_eq!(by_stranger.unwrap(), [Settled::Stale]);
    assert_eq!(t.state(delivery.id).await, DeliveryState::Leased);
    assert_eq!(t.settle(&settlement).await, [Settled::Applied]);
}

/// The answer was lost and the same outcome comes again. A second retry would count the attempt
/// twice.
pub(crate) async fn settling_twice_changes_nothing_more(t: &Bench) {
    t.save(&["a"]).await;
    let delivery = t.lease_one("a").await;
    let retry = t.failed(&delivery, SettleAs::Retry { at: t.at(0) });
    t.settle(std::slice::from_ref(&retry)).await;
    assert_eq!(t.settle(&[retry]).await, [Settled::Stale]);
    let record = t.delivery(delivery.id).await;
    assert_eq!(record.state, DeliveryState::Ready);
    assert_eq!(record.delivery.attempts, 1);
    let counts = t.counts(None).await;
    assert_eq!((counts.ready, counts.leased), (1, 0));
}

/// Judged one after the other within a call, as they would be in two.
pub(crate) async fn the_second_of_two_in_one_call_is_stale(t: &Bench) {
    t.save(&["a"]).await;
    let delivery = t.lease_one("a").await;
    let settled = t
        .settle(&[
            t.failed(&delivery, SettleAs::Delivered),
            t.failed(&delivery, DEAD),
        ])
        .await;
    assert_eq!(settled, [Settled::Applied, Settled::Stale]);
    assert_eq!(t.state(delivery.id).await, DeliveryState::Delivered);
}

/// It may have been purged or swept. Its neighbours in the call are settled all the same.
pub(crate) async fn an_unknown_delivery_is_stale(t: &Bench) {
    t.save(&["a"]).await;
    let known = t.lease_one("a").await;
    let mut unknown = t.settlement(&known, SettleAs::Delivered);
    // Well-formed, and nobody's; everything else of it is right.
    unknown.delivery_id = DeliveryId::new(t.at(0));
    let both = [unknown, t.settlement(&known, SettleAs::Delivered)];
    assert_eq!(
        t.settle(&both).await,
        [Settled::Stale, Settled::Applied],
        "it does not fail the others"
    );
    assert!(t.settle(&[]).await.is_empty());
}

/// Every field of both attempts, with bytes that are no text, in the order in which they were made.
pub(crate) async fn attempts_are_logged_whole(t: &Bench) {
    t.save(&["a"]).await;
    let delivery = t.lease_one("a").await;
    let mut logged = AttemptRecord::new(delivery.id, 1, t.at(2));
    logged.duration = std::time::Duration::from_millis(1_234);
    logged.status = Some(429);
    logged.failure = Some(FailureKind::TooManyRequests);
    // No text in any encoding, with what could end a string.
    logged.response = vec![0, 1, 0xff, b'\'', b'"'].into();
    // In their order, one of them twice, and one empty.
    logged.response_headers = [("retry-after", "3"), ("x-a", "\u{fc}'\""), ("x-a", "")]
        .map(|(name, value)| (name.into(), value.into()))
        .into();
    let mut first = t.settlement(&delivery, SettleAs::Retry { at: t.at(0) });
    first.attempt = Some(logged.clone());
    t.settle(&[first]).await;
    let delivery = t.take(0).await.remove(0);
    let mut arrived = AttemptRecord::new(delivery.id, 2, t.at(3));
    arrived.duration = logged.duration;
    arrived.status = Some(200);
    let mut second = t.settlement(&delivery, SettleAs::Delivered);
    second.attempt = Some(arrived.clone());
    t.settle(&[second]).await;
    let attempts = t.delivery(delivery.id).await.attempts;
    assert_eq!(attempts, [logged, arrived], "oldest first");
}

/// A failure without a response has no status. Each kind keeps its name: it tells an operator what
/// to mend.
pub(crate) async fn an_attempt_without_an_answer_is_logged(t: &Bench) {
    t.save(&["a"]).await;
    for failure in [
        FailureKind::Dns,
        FailureKind::AddressRefused,
        FailureKind::Connect,
        FailureKind::Tls,
        FailureKind::Reset,
        FailureKind::Timeout,
        FailureKind::MalformedResponse,
        FailureKind::Redirect,
        FailureKind::ClientError,
        FailureKind::Gone,
        FailureKind::TooLarge,
        FailureKind::UrlRefused,
        FailureKind::Unbuildable,
    ] {
        let delivery = t.lease_one("a").await;
        let mut settlement = t.failed(&delivery, DEAD);
        let attempt = settlement.attempt.as_mut().unwrap();
        (attempt.status, attempt.failure) = (None, Some(failure));
        t.settle(&[settlement]).await;
        let logged = &t.delivery(delivery.id).await.attempts[0];
        assert_eq!((logged.status, logged.failure), (None, Some(failure)));
    }
}

/// The request was made, so the log shows it, marked as one besides which another may have run. It
/// counts for nobody.
pub(crate) async fn a_late_attempt_is_logged_as_ambiguous(t: &Bench) {
    t.save(&["a"]).await;
    let late = t.lease_one("a").await;
    // Released, and so no longer held.
    t.settle(&[t.settlement(&late, SettleAs::Release { at: t.at(0) })])
        .await;
    let stale = t.settle(&[t.failed(&late, SettleAs::Delivered)]).await;
    assert_eq!(stale, [Settled::Stale]);
    let record = t.delivery(late.id).await;
    assert_eq!(record.attempts.len(), 1);
    assert!(record.attempts[0].ambiguous);
    assert_eq!(record.delivery.attempts, 0, "it does not count");
}

/// Nothing is left to try again, so retry and release end as cancelled; what has ended, has ended.
/// The attempts are kept either way.
pub(crate) async fn the_deliveries_of_a_deleted_endpoint_do_not_wait_again(t: &Bench) {
    t.save(&["a"]).await;
    t.send_many("a", 4).await;
    let taken = t.take(0).await;
    t.delete("a", t.at(0)).await;
    let settled = t
        .settle(&[
            t.failed(&taken[0], SettleAs::Retry { at: t.at(9) }),
            t.settlement(&taken[1], SettleAs::Release { at: t.at(0) }),
            t.failed(&taken[2], SettleAs::Delivered),
            t.failed(&taken[3], DEAD),
        ])
        .await;
    let (cancelled, applied) = (Settled::Cancelled, Settled::Applied);
    assert_eq!(settled, [cancelled, cancelled, applied, applied]);
    let counts = t.counts(None).await;
    assert_eq!((counts.cancelled, counts.delivered, counts.dead), (2, 1, 1));
    let retried = t.delivery(taken[0].id).await;
    assert_eq!((retried.delivery.attempts, retried.attempts.len()), (1, 1));
}

/// The recorder stores what many requests brought in one call, and each in it has its own outcome.
pub(crate) async fn a_thousand_outcomes_are_one_call(t: &Bench) {
    t.save(&["a"]).await;
    t.send_many("a", 1_000).await;
    let taken = t.take(0).await;
    assert_eq!(taken.len(), 1_000);
    let outcomes: Vec<_> = taken
        .iter()
        .enumerate()
        // Four kinds of outcome, mixed.
        .map(|(n, delivery)| match n % 4 {
            0 => t.failed(delivery, SettleAs::Delivered),
            1 => t.failed(delivery, SettleAs::Retry { at: t.at(60) }),
            2 => t.failed(delivery, DEAD),
            _ => t.settlement(delivery, SettleAs::Release { at: t.at(0) }),
        })
        .collect();
    let settled = t.settle(&outcomes).await;
    assert!(settled.len() == 1_000 && settled.iter().all(|s| *s == Settled::Applied));
    let counts = t.counts(None).await;
    let all = [
        counts.delivered,
        counts.scheduled,
        counts.dead,
        counts.ready,
    ];
    assert_eq!(all, [250; 4]);
}

/// Four workers claim and settle at once, on the same endpoints. Nobody's settlement is stale,
/// since nobody else had the lease, and the counts are exact in the end.
pub(crate) async fn workers_settle_side_by_side(t: &Bench) {
    t.save(&["a", "b", "c"]).await;
    for name in ["a", "b", "c"] {
        t.send_many(name, 100).await;
    }
    let now = t.at(0);
    let workers: Vec<_> = (0..4)
        .map(|n| {
            let storage = t.storage.clone();
            tokio::spawn(async move {
                let worker = WorkerId::named(&format!("worker_{n}"));
                storage.beat(Some(&worker), Some(now)).await.unwrap();
                let mut empty = 0;
                while empty < 20 {
                    let claim = Claim {
                        worker: &worker,
                        now,
                        limit: 10,
                        per_endpoint: 5,
                        room: &[],
                        poison_suspects: 0,
                        rate_limit: None,
                    };
                    let taken = storage.claim(&claim).await.unwrap().deliveries;
                    empty = if taken.is_empty() { empty + 1 } else { 0 };
                    let outcomes: Vec<_> = taken
                        .iter()
                        .map(|delivery| webhooks_core::storage::spi::Settlement {
                            delivery_id: delivery.id,
                            endpoint_id: delivery.endpoint_id.clone(),
                            token: token(delivery),
                            settle_as: SettleAs::Delivered,
                            attempt: None,
                        })
                        .collect();
                    let settled = storage.settle(&worker, &outcomes, now).await.unwrap();
                    // None is stale: every lease had one holder.
                    assert!(settled.iter().all(|s| *s == Settled::Applied));
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    assert_eq!(t.counts(None).await.delivered, 300);
}
