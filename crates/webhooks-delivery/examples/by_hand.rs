//! The queue and the engine by hand, without a dispatcher: one delivery to a receiver of this program.
//! `cargo run -p webhooks-delivery --example by_hand`.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use webhooks_core::storage::WebhookStorage;
use webhooks_core::{
    Clock, EventType, RetryStrategy, Timestamp, WebhookDelivery, WebhookEndpoint, WebhookEvent,
};
use webhooks_delivery::{DeliveryEngine, NetworkPolicy, WebhookQueue};
use webhooks_storage_memory::MemoryStorage;

#[derive(Debug)]
struct WallClock;

impl Clock for WallClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn now(&self) -> Timestamp {
        SystemTime::now().into()
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/", listener.local_addr()?);
    let receiver = tokio::spawn(accept_one(listener));

    let storage: Arc<dyn WebhookStorage> = Arc::new(MemoryStorage::new());
    storage
        .save_endpoint(&WebhookEndpoint {
            id: "endpoint_1".to_string(),
            url,
            secret: "webhook_secret".to_string(),
            events: vec!["*".to_string()],
            ..Default::default()
        })
        .await?;
    let queue = WebhookQueue::new(storage, RetryStrategy::default());
    let event_type = EventType::new("user.created")?;
    let event = WebhookEvent::new(event_type, None, "data", 1_024, WallClock.now())?;
    let delivery = WebhookDelivery::new("endpoint_1", Arc::new(event));
    queue.enqueue(delivery).await?;

    let engine = DeliveryEngine::builder(Arc::new(WallClock))
        // The default reaches public addresses alone.
        .network_policy(NetworkPolicy::permissive())
        .build()?;
    while let Some(delivery) = queue.dequeue().await? {
        let result = engine.deliver(&delivery).await?;
        println!("{}: {:?}", delivery.id, result.outcome);
        queue.complete(&delivery, &result).await?;
    }
    println!("{}", receiver.await??);
    Ok(())
}

async fn accept_one(listener: TcpListener) -> std::io::Result<String> {
    let (mut peer, _) = listener.accept().await?;
    let mut request = vec![0; 4_096];
    let length = peer.read(&mut request).await?;
    request.truncate(length);
    peer.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await?;
    Ok(String::from_utf8_lossy(&request).into_owned())
}
