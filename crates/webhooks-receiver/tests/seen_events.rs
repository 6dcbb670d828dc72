//! The memory of handled events.

#![expect(clippy::panic, reason = "a test fails by panicking")]

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use webhooks_core::Timestamp;
use webhooks_receiver::{Claim, SeenEvents, SeenGuard, SeenStore};

const DAY: Duration = Duration::from_secs(86_400);

fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(1_750_000_000).after(Duration::from_secs(secs))
}

fn new(claim: Claim<SeenGuard>) -> SeenGuard {
    match claim {
        Claim::New(guard) => guard,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_claim_is_in_progress_and_then_done() {
    let seen = SeenEvents::default();
    let guard = new(seen.claim("a"));
    assert_eq!(guard.id(), "a");
    assert!(matches!(seen.claim("a"), Claim::InProgress));
    guard.commit();
    assert!(matches!(seen.claim("a"), Claim::Done));
    drop(new(seen.claim("b")));
}

#[test]
fn a_claim_that_is_dropped_or_released_can_be_made_again() {
    let seen = SeenEvents::default();
    drop(new(seen.claim("a")));
    new(seen.claim("a")).release();
    let panicked = std::panic::catch_unwind(|| {
        let _guard = new(seen.claim("a"));
        panic!("the handler failed");
    });
    assert!(panicked.is_err());
    assert!(seen.is_empty());
    new(seen.claim("a")).commit();
    assert_eq!(seen.len(), 1);
}

#[test]
fn an_event_is_forgotten_when_it_is_old() {
    let seen = SeenEvents::new(10, DAY);
    new(seen.claim_at("a", at(0))).commit();
    assert!(matches!(seen.claim_at("a", at(86_399)), Claim::Done));
    let again = new(seen.claim_at("a", at(86_400)));
    new(seen.claim_at("b", at(86_400))).commit();
    assert_eq!(seen.len(), 2);
    again.commit();
    new(seen.claim_at("c", at(2 * 86_400))).commit();
    assert_eq!(seen.len(), 1);
}

#[test]
fn a_claim_that_grew_too_old_cannot_settle_a_later_one() {
    let seen = SeenEvents::new(10, DAY);
    let first = new(seen.claim_at("a", at(0)));
    let second = new(seen.claim_at("a", at(86_400)));
    first.commit();
    assert!(matches!(seen.claim_at("a", at(86_401)), Claim::InProgress));
    drop(new(seen.claim_at("b", at(0))));
    second.commit();
    assert!(matches!(seen.claim_at("a", at(86_401)), Claim::Done));
}

#[test]
fn the_event_that_was_handled_longest_ago_makes_room() {
    let seen = SeenEvents::new(3, DAY);
    for (n, id) in ["a", "b", "c", "d"].into_iter().enumerate() {
        new(seen.claim_at(id, at(n as u64))).commit();
        assert!(seen.len() <= 3);
    }
    assert!(matches!(seen.claim_at("b", at(9)), Claim::Done));
    assert!(matches!(seen.claim_at("a", at(9)), Claim::New(_)));
}

#[test]
fn work_in_progress_is_never_forgotten_for_room() {
    let seen = SeenEvents::new(2, DAY);
    let a = new(seen.claim_at("a", at(0)));
    let b = new(seen.claim_at("b", at(0)));
    assert!(matches!(seen.claim_at("c", at(1)), Claim::InProgress));
    assert!(matches!(seen.claim_at("a", at(1)), Claim::InProgress));
    a.commit();
    let c = new(seen.claim_at("c", at(1)));
    assert!(matches!(seen.claim_at("d", at(1)), Claim::InProgress));
    // Both are leaked here; age frees their room.
    std::mem::forget((b, c));
    new(seen.claim_at("d", at(86_401))).commit();
    assert_eq!(seen.len(), 1);
}

#[test]
fn of_many_threads_one_gets_the_claim() {
    let seen = SeenEvents::default();
    for round in 0..50 {
        let id = format!("event_{round}");
        let (won, barrier) = (AtomicUsize::new(0), Barrier::new(8));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    barrier.wait();
                    if let Claim::New(guard) = seen.claim(&id) {
                        won.fetch_add(1, Ordering::Relaxed);
                        guard.commit();
                    }
                });
            }
        });
        assert_eq!(won.into_inner(), 1);
    }
}

#[tokio::test]
async fn serves_code_that_is_written_for_any_store() {
    async fn handle<S: SeenStore>(store: &S, id: &str) -> Result<bool, S::Error> {
        let Claim::New(guard) = store.claim(id).await? else {
            return Ok(false);
        };
        store.commit(guard).await?;
        Ok(true)
    }
    let seen = SeenEvents::default();
    assert_eq!(handle(&seen, "a").await, Ok(true));
    assert_eq!(handle(&seen, "a").await, Ok(false));
}
