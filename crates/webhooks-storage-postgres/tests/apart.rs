//! Deliveries whose ids do not begin with the millisecond of their event, which no sender of this
//! system makes and any other may.

mod support;

use std::time::Duration;

use support::events::{claim, delivered, endpoint, event};
use support::{drop_schema, fresh_schema, storage};
use webhooks_core::storage::spi::EventDelivery;
use webhooks_core::storage::{Change, DeliveryQuery, EventQuery, Retention, WebhookStorage};
use webhooks_core::{DeliveryId, WorkerId};

const DAY: Duration = Duration::from_secs(86_400);

#[tokio::test]
async fn a_delivery_made_a_day_later_is_found_counted_and_erased_with_its_event() {
    let schema = fresh_schema();
    let storage = storage(&schema).await;
    let worker = WorkerId::named("worker_a");
    let now = storage.beat(Some(&worker), None).await.unwrap().now;
    storage.save_endpoint(&endpoint("a")).await.unwrap();
    storage.save_endpoint(&endpoint("b")).await.unwrap();
    let sent = event("a", b"{}", now);
    storage
        .enqueue(std::slice::from_ref(&sent), None, now)
        .await
        .unwrap();
    let later = now.after(DAY);
    let mut again = EventDelivery {
        event_id: sent.event.id,
        delivery: sent.deliveries[0].clone(),
    };
    (again.delivery.id, again.delivery.endpoint_id) = (DeliveryId::new(later), "b".into());
    storage.deliver_events(&[again], later).await.unwrap();

    let of_event = DeliveryQuery::of_event(sent.event.id);
    let found = storage.deliveries(&of_event).await.unwrap().items;
    assert_eq!(found.len(), 2);
    assert_eq!(storage.count(&of_event, 10).await.unwrap(), 2);
    let events = storage.events(&EventQuery::default()).await.unwrap().items;
    assert_eq!(events[0].deliveries.ready, 2);

    // It alone keeps its event.
    let claimed = storage.claim(&claim(&worker, 10, later)).await.unwrap();
    let first = claimed.deliveries.iter().find(|d| &*d.endpoint_id == "a");
    let settled = [delivered(first.unwrap())];
    storage.settle(&worker, &settled, now).await.unwrap();
    let retention = Retention::default();
    let swept = storage.sweep(&retention, 100, now.after(DAY * 7)).await;
    assert_eq!(swept.unwrap().rows, 1, "the delivery that has arrived");
    let erased = storage.change(&of_event, Change::Erase, 10, later).await;
    assert_eq!(erased.unwrap().changed, 1);
    let events = storage.events(&EventQuery::default()).await.unwrap().items;
    assert!(events[0].payload_erased);
    drop_schema(&schema).await;
}
