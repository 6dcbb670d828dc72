//! Events that are sent inside transactions, whatever they hold: none holds up the others.

use std::sync::Arc;

use better_auth_webhooks::DeliveryState;
use better_auth_webhooks::storage::WebhookStorage;
use webhooks_tests::Receiver;

use crate::place::{Engine, Place, count, endpoint, until};

#[tokio::test]
async fn what_the_storage_refuses_holds_up_no_other() {
    let place = Place::new(Engine::Postgres);
    let storage: Arc<dyn WebhookStorage> = place.storage().await;
    let receiver = Receiver::responding(200).await;
    let mut to = endpoint("a", &receiver.url());
    // Nobody takes the large ones, which are read and committed all the same.
    to.events = vec!["user.*".into()];
    storage.save_endpoint(&to).await.unwrap();
    let client = place.postgres().await;
    // What the queue refuses, though the outbox took it; and more bytes together than one read or
    // commit takes.
    let insert = "INSERT INTO webhook_outbox (id, event_type, data, priority, created_at, due_at) ";
    let rows = format!(
        "ALTER TABLE webhook_queue ADD CHECK (event_type <> 'user.refused'); \
        {insert} VALUES (gen_random_uuid(), 'user.refused', '{{}}', 1, now(), now()); \
        {insert} SELECT gen_random_uuid(), 'large.one', \
            ('\"' || repeat('x', 8000000) || '\"')::json, 1, now(), now() FROM generate_series(1, 20);"
    );
    client.batch_execute(&rows).await.unwrap();
    let send = "SELECT webhook_send('user.created', '{}') FROM generate_series(1, 300)";
    client.batch_execute(send).await.unwrap();
    let system = place.node().await;
    until("the small ones are delivered", async || {
        count(&system, DeliveryState::Delivered).await == 300
    })
    .await;
    let aside = "SELECT reason FROM webhook_outbox_refused ORDER BY due_at";
    let left = "SELECT count(*) FROM webhook_outbox";
    until("the outbox is empty", async || {
        client.query_one(left, &[]).await.unwrap().get::<_, i64>(0) == 0
    })
    .await;
    let reasons = client.query(aside, &[]).await.unwrap();
    assert_eq!(reasons.len(), 1, "one is set aside");
    let reason: &str = reasons[0].get(0);
    assert!(reason.contains("23514"), "{reason}");
    assert!(system.health().await.is_healthy());
}
