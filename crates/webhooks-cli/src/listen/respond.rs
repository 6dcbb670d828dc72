//! What is answered to a request that is not forwarded.

use std::str::FromStr;

use axum::response::{IntoResponse, Response};
use http::StatusCode;

/// The longest body, in bytes.
const MAX_BODY: usize = 64 << 10;

/// A status, and perhaps a body.
#[derive(Clone, Debug)]
pub(super) struct Respond {
    status: StatusCode,
    body: String,
}

impl FromStr for Respond {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (status, body) = text.split_once(':').unwrap_or((text, ""));
        let status = status.parse().ok().filter(|status: &StatusCode| {
            // Those below 200 are no answers.
            status.as_u16() >= 200
        });
        match status {
            Some(status) if body.len() <= MAX_BODY => Ok(Self {
                status,
                body: body.to_owned(),
            }),
            Some(_) => Err(format!("a body of at most {MAX_BODY} bytes")),
            None => Err("a status from 200 to 999, as in 204 or 200:ok".into()),
        }
    }
}

impl IntoResponse for Respond {
    fn into_response(self) -> Response {
        (self.status, self.body).into_response()
    }
}
