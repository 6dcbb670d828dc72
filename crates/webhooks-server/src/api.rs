//! The routes of the API: thin, and each registered once for the router and for the document.

#![expect(unused_qualifications, reason = "what utoipa makes of `params(..)`")]

mod body;
mod caller;
mod cursor;
mod dead_letters;
mod deliveries;
mod delivery_params;
mod doctor;
mod document;
mod endpoint_actions;
mod endpoints;
mod event_types;
mod events;
mod export_rows;
mod exports;
mod health;
mod idempotency;
mod jobs;
mod keys;
mod numbers;
mod precondition;
mod query;
mod request;
#[cfg(feature = "telemetry")]
mod scrape;
mod sending;
mod session;
mod shapes;
mod standing;
mod state;
mod stream;
mod tenants;
mod who;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::get;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) use self::state::Api;

use crate::problem::Problem;

/// The longest body of a request that has no bound of its own, in bytes.
const MAX_BODY: usize = 1 << 20;

/// All routes, and the document that describes those under `/api/v1`.
pub(crate) fn routes(api: Api) -> (Router, OpenApi) {
    let (v1, document) = OpenApiRouter::with_openapi(document::base())
        .nest("/api/v1", v1(&api))
        .split_for_parts();
    let router = v1
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz));
    #[cfg(feature = "telemetry")]
    let router = router.route("/metrics", get(scrape::scrape));
    let measured = from_fn_with_state(api.measure.clone(), request::around);
    let router = router
        .fallback(async || not_found())
        .method_not_allowed_fallback(async || method_not_allowed())
        .layer(measured)
        .with_state(api);
    (router, document)
}

/// The routes under `/api/v1`.
fn v1(api: &Api) -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(who::me))
        .routes(routes!(session::begin, session::end))
        .routes(routes!(numbers::info))
        .routes(routes!(document::openapi))
        .merge(sending::routes(api))
        .merge(creating(api))
        .routes(routes!(events::list))
        .routes(routes!(events::get))
        .routes(routes!(events::payload, events::erase_payload))
        .routes(routes!(endpoints::list))
        .routes(routes!(
            endpoints::get,
            endpoints::put,
            endpoints::patch,
            endpoints::delete
        ))
        .routes(routes!(endpoint_actions::pause))
        .routes(routes!(endpoint_actions::resume))
        .routes(routes!(endpoint_actions::enable))
        .routes(routes!(endpoint_actions::disable))
        .routes(routes!(endpoint_actions::verify))
        .routes(routes!(endpoint_actions::test))
        .routes(routes!(endpoint_actions::secret))
        .routes(routes!(endpoint_actions::metrics))
        .routes(routes!(deliveries::list))
        .routes(routes!(deliveries::count))
        .routes(routes!(exports::export))
        .routes(routes!(deliveries::get))
        .routes(routes!(deliveries::attempts))
        .routes(routes!(deliveries::cancel))
        .routes(routes!(deliveries::resend))
        .routes(routes!(dead_letters::list))
        .routes(routes!(dead_letters::groups))
        .routes(routes!(dead_letters::get, dead_letters::purge))
        .routes(routes!(dead_letters::replay))
        .routes(routes!(event_types::list))
        .routes(routes!(event_types::import))
        .routes(routes!(event_types::export))
        .routes(routes!(
            event_types::get,
            event_types::put,
            event_types::delete
        ))
        .routes(routes!(numbers::metrics))
        .routes(routes!(numbers::stats))
        .routes(routes!(numbers::workers))
        .routes(routes!(stream::stream))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::get))
        .routes(routes!(jobs::stop))
        .routes(routes!(tenants::list))
        .routes(routes!(tenants::revoke))
        .routes(routes!(keys::list))
        .routes(routes!(keys::get, keys::patch, keys::delete))
        .routes(routes!(who::audit))
        .routes(routes!(doctor::doctor))
        .routes(routes!(doctor::reencrypt))
        .layer(DefaultBodyLimit::max(MAX_BODY))
}

/// The routes that create something, once for each idempotency key.
fn creating(api: &Api) -> OpenApiRouter<Api> {
    let once = axum::middleware::from_fn_with_state(api.clone(), idempotency::once);
    OpenApiRouter::new()
        .routes(routes!(endpoints::create))
        .routes(routes!(endpoint_actions::rotate_secret))
        .routes(routes!(events::deliver))
        .routes(routes!(jobs::create))
        .routes(routes!(keys::create))
        .routes(routes!(keys::rotate))
        .routes(routes!(tenants::issue_token))
        .layer(once)
}

/// The answer where there is no route.
fn not_found() -> Response {
    use axum::response::IntoResponse;
    Problem::not_found("there is no such route").into_response()
}

/// The answer where a route has other methods.
fn method_not_allowed() -> Problem {
    let status = http::StatusCode::METHOD_NOT_ALLOWED;
    Problem::new(status, "method-not-allowed", "the route has no such method")
}
