//! The system on a storage that keeps credentials encrypted, while keys are changed and one
//! endpoint cannot be read.

#![expect(
    clippy::unwrap_used,
    reason = "a failed test may panic in its helpers too"
)]

use std::time::Duration;

use better_auth_webhooks::storage::{EncryptionKeys, PostgresStorage};
use better_auth_webhooks::{NetworkPolicy, WebhookEndpoint, WebhookReceiver, WebhookSystem};
use deadpool_postgres::{Manager, Pool, Runtime};
use serde_json::json;
use tokio_postgres::NoTls;
use webhooks_tests::Receiver;

const SOON: Duration = Duration::from_secs(10);

/// A schema of its own.
struct Schema {
    pool: Pool,
    name: String,
}

impl Schema {
    fn new(name: &str) -> Self {
        let url = std::env::var("WEBHOOKS_TEST_POSTGRES_URL").unwrap();
        let manager = Manager::new(url.parse().unwrap(), NoTls);
        let pool = Pool::builder(manager).runtime(Runtime::Tokio1);
        Self {
            pool: pool.max_size(8).build().unwrap(),
            name: format!("encryption_{name}_{}", std::process::id()),
        }
    }

    async fn storage(&self, keys: EncryptionKeys) -> PostgresStorage {
        let storage = PostgresStorage::builder(self.pool.clone()).schema(&self.name);
        storage.encryption_keys(keys).connect().await.unwrap()
    }

    async fn run(&self, sql: &str) {
        let sql = sql.replace("@", &self.name);
        let client = self.pool.get().await.unwrap();
        client.batch_execute(&sql).await.unwrap();
    }
}

fn system(storage: PostgresStorage) -> WebhookSystem {
    let builder = WebhookSystem::builder().network_policy(NetworkPolicy::permissive());
    builder.build(storage)
}

fn endpoint(id: &str, url: String) -> WebhookEndpoint {
    WebhookEndpoint {
        id: id.into(),
        url,
        secret: format!("secret of {id}"),
        events: vec!["*".into()],
        headers: [("authorization".into(), "Bearer token".into())].into(),
        ..Default::default()
    }
}

fn keys(id: &str, byte: u8) -> EncryptionKeys {
    EncryptionKeys::new(id, &[byte; 32]).unwrap()
}

#[tokio::test]
async fn a_definition_stays_the_same_while_its_encryption_changes() {
    let schema = Schema::new("same");
    let receiver = Receiver::responding(200).await;
    let definition = endpoint("a", receiver.url());
    let both = || keys("new", 2).with_older("old", &[1; 32]).unwrap();
    for (n, given) in [
        EncryptionKeys::none(),
        keys("old", 1),
        both(),
        keys("new", 2),
    ]
    .into_iter()
    .enumerate()
    {
        if !given.is_empty() {
            let by = if n == 3 { both() } else { given.clone() };
            schema.storage(by).await.reencrypt().await.unwrap();
        }
        let system = system(schema.storage(given).await);
        system.register_endpoint(definition.clone()).await.unwrap();
        system.send_webhook("user.created", json!(n)).await.unwrap();
        assert!(system.drain(SOON).await.unwrap());
        system.shutdown(SOON).await.unwrap();
    }
    let received = receiver.received();
    assert_eq!(received.len(), 4);
    let verifier = WebhookReceiver::new("secret of a");
    for request in received {
        verifier.receive(&request.headers, &request.body).unwrap();
        assert_eq!(request.header("authorization"), "Bearer token");
    }
    schema.run("DROP SCHEMA @ CASCADE").await;
}

#[tokio::test]
async fn what_is_for_an_endpoint_that_no_key_opens_waits_and_the_others_go_on() {
    let schema = Schema::new("unreadable");
    let receiver = Receiver::responding(200).await;
    let sender = system(schema.storage(keys("k", 1)).await);
    for id in ["a", "b"] {
        let endpoint = endpoint(id, receiver.url());
        sender.register_endpoint(endpoint).await.unwrap();
    }
    sender.shutdown(SOON).await.unwrap();
    let stolen = "UPDATE @.webhook_endpoints b SET secret = a.secret
        FROM @.webhook_endpoints a WHERE a.id = 'a' AND b.id = 'b'";
    schema.run(stolen).await;

    let system = system(schema.storage(keys("k", 1)).await);
    for _ in 0..5 {
        let receipt = system.send_webhook("user.created", json!(1)).await.unwrap();
        assert_eq!(receipt.delivery_ids.len(), 2);
    }
    receiver.wait_for(5).await;
    let again = system
        .register_endpoint(endpoint("b", receiver.url()))
        .await;
    let error = again.unwrap_err().to_string();
    assert!(
        error.contains("endpoint \"b\" does not open with key \"k\""),
        "{error}"
    );
    let rotated = system.rotate_secret("b", "new", SOON).await.unwrap_err();
    assert_eq!(rotated.to_string(), error);
    let metrics = system.endpoint_metrics("b").await.unwrap();
    assert_eq!(metrics.counts.waiting(), 5);
    assert_eq!(metrics.attempts.failed + metrics.attempts.succeeded, 0);

    // Somebody gives it a definition again; nothing was lost meanwhile.
    let mended = endpoint("b", receiver.url());
    system.update_endpoint(mended).await.unwrap();
    receiver.wait_for(10).await;
    assert!(system.drain(SOON).await.unwrap());
    let verifier = WebhookReceiver::new("").with_secrets(["secret of a", "secret of b"]);
    for request in receiver.received() {
        verifier.receive(&request.headers, &request.body).unwrap();
    }
    system.shutdown(SOON).await.unwrap();
    schema.run("DROP SCHEMA @ CASCADE").await;
}
