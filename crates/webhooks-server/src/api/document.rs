//! The document that describes the API: OpenAPI 3.1, made from the handlers.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, SecurityRequirement,
};

use super::state::Api;
use crate::problem::{FieldError, ProblemBody};

/// The document without its routes.
pub(super) fn base() -> OpenApi {
    let license = LicenseBuilder::new()
        .name("MIT OR Apache-2.0")
        .identifier(Some("MIT OR Apache-2.0"))
        .build();
    let info = InfoBuilder::new()
        .title("better-auth-webhooks")
        .version("1")
        .description(Some(
            "Send events, and see to endpoints, deliveries and dead letters. Times are RFC 3339 in \
             UTC with milliseconds. Errors are problem documents (RFC 9457).",
        ))
        .license(Some(license))
        .build();
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    let components = ComponentsBuilder::new()
        .security_scheme("key", bearer)
        // What every route names by reference.
        .schema_from::<ProblemBody>()
        .schema_from::<FieldError>()
        .build();
    OpenApiBuilder::new()
        .info(info)
        .components(Some(components))
        .security(Some([SecurityRequirement::new(
            "key",
            Vec::<String>::new(),
        )]))
        .build()
}

/// This document.
#[utoipa::path(
    get, path = "/openapi.json", tag = "system", security(()),
    responses((status = OK, description = "The document", content_type = "application/json", body = Object)),
)]
pub(super) async fn openapi(State(api): State<Api>) -> Response {
    let document = api.document.get().cloned().unwrap_or_default();
    ([(CONTENT_TYPE, "application/json")], document).into_response()
}
