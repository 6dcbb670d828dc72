//! An app of its own with the API under `/webhooks`: `cargo run -p webhooks-server --example mounted`.

#![expect(clippy::print_stdout, reason = "a program talks to a person")]

use better_auth_webhooks::storage::MemoryStorage;
use better_auth_webhooks::{NetworkPolicy, WebhookSystem};
use tokio::net::TcpListener;
use webhooks_server::Server;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let system = WebhookSystem::builder()
        .network_policy(NetworkPolicy::permissive())
        .build(MemoryStorage::new());
    // Of an example; a service takes it from its environment.
    let key = "the root key of this example, which everybody knows";
    let server = Server::builder(system).root_key(key).build()?;
    let app = axum::Router::new()
        .route("/", axum::routing::get(async || "the app itself\n"))
        .nest_service("/webhooks", server.into_router());
    let listener = TcpListener::bind("127.0.0.1:8700").await?;
    println!("curl http://127.0.0.1:8700/webhooks/api/v1/me -H 'Authorization: Bearer {key}'");
    axum::serve(listener, app).await?;
    Ok(())
}
