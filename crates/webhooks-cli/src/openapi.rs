//! `webhooks openapi`.

use better_auth_webhooks::WebhookSystem;
use better_auth_webhooks::storage::MemoryStorage;
use webhooks_server::Server;

use crate::failure::Failure;
use crate::output::Output;

/// Prints the document of the API.
pub(crate) fn print(output: &Output) -> Result<(), Failure> {
    // The document is made from the handlers, and is the same for every system.
    let system = WebhookSystem::builder()
        .workers(0)
        .build(MemoryStorage::new());
    output.line(&Server::builder(system).build()?.openapi()?)
}
