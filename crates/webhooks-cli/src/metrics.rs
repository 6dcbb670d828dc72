//! Numbers for Prometheus, on a listener of their own.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use better_auth_webhooks::WebhookSystem;
use webhooks_telemetry::Telemetry;

/// `GET /metrics`.
pub(crate) fn router(telemetry: Arc<Telemetry>, system: WebhookSystem) -> Router {
    let scrape = move || scrape(telemetry.clone(), system.clone());
    Router::new().route("/metrics", get(scrape))
}

/// What a scrape gets.
async fn scrape(telemetry: Arc<Telemetry>, system: WebhookSystem) -> Response {
    match system.snapshot().await {
        Ok(snapshot) => {
            let mut text = String::new();
            telemetry.encode_with(&snapshot, &mut text);
            ([(CONTENT_TYPE, webhooks_telemetry::CONTENT_TYPE)], text).into_response()
        }
        // The scraper takes no answer for what it is: that something is wrong.
        Err(error) => {
            tracing::warn!(%error, "no numbers for a scrape");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}
