//! A server that takes webhooks: verify, handle each event once, respond.
//!
//! ```text
//! WEBHOOK_SECRET=secret cargo run -p webhooks-receiver --features axum --example axum
//! ```

use std::error::Error;

use axum::Router;
use axum::extract::{FromRef, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tokio::net::TcpListener;
use webhooks_receiver::{Claim, IncomingWebhook, SeenEvents, VerifiedWebhook, WebhookReceiver};

#[derive(Clone)]
struct App {
    receiver: WebhookReceiver,
    seen: SeenEvents,
}

impl FromRef<App> for WebhookReceiver {
    fn from_ref(app: &App) -> Self {
        app.receiver.clone()
    }
}

impl FromRef<App> for SeenEvents {
    fn from_ref(app: &App) -> Self {
        app.seen.clone()
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let app = App {
        receiver: WebhookReceiver::new(std::env::var("WEBHOOK_SECRET")?),
        seen: SeenEvents::default(),
    };
    let router = Router::new()
        .route("/webhooks", post(receive))
        .with_state(app);
    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    axum::serve(listener, router).await?;
    Ok(())
}

async fn receive(
    State(seen): State<SeenEvents>,
    VerifiedWebhook(webhook): VerifiedWebhook,
) -> Response {
    // The sender asks whether its webhooks are wanted here, and sends them once this is answered.
    if let Some(response) = webhook.challenge_response() {
        return ([(CONTENT_TYPE, "application/json")], response).into_response();
    }
    for event in webhook.into_events() {
        match seen.claim(&event.id) {
            Claim::New(claim) => {
                handle(&event).await;
                claim.commit();
            }
            // It comes again, and then it is done or can be claimed.
            Claim::InProgress => return StatusCode::CONFLICT.into_response(),
            Claim::Done => {}
        }
    }
    StatusCode::NO_CONTENT.into_response()
}

async fn handle(event: &IncomingWebhook) {
    // The consumer's own work.
    let _: &serde_json::Value = &event.data;
    tokio::task::yield_now().await;
}
