//! A server, over HTTP.
//!
//! Certificates are verified as the system does it, so that roots of one's own count, and proxies are those of
//! `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`.
//!
//! A redirect is not followed, so that the key goes to no other address. Nothing is retried here: only a
//! command knows whether asking twice is safe.

use std::time::Duration;

use axum::body::Body;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Response};
use url::Url;
use webhooks_core::Secret;

use super::request::Request;
use crate::failure::Failure;
use crate::loopback::is_here;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long the server may be silent; a stream says something every 15 s.
const SILENCE: Duration = Duration::from_secs(60);

/// A server, and the key for it.
pub(crate) struct Remote {
    http: reqwest::Client,
    /// The address of the API.
    base: Url,
    /// The key, as it goes out.
    authorization: Option<HeaderValue>,
}

impl Remote {
    /// The server of this address.
    ///
    /// # Errors
    ///
    /// Wrong usage: a URL that is not `http` or `https` or has a user or a password, and a key that no
    /// header can carry.
    pub(super) fn new(url: &Url, key: Option<&Secret>) -> Result<Self, Failure> {
        let base = base(url)?;
        let authorization = key.map(|key| -> Result<_, Failure> {
            let value = HeaderValue::from_str(&format!("Bearer {}", key.expose()));
            let mut value =
                value.map_err(|_| Failure::usage("the key has characters that no key has"))?;
            value.set_sensitive(true);
            Ok(value)
        });
        let http = reqwest::Client::builder()
            .user_agent(concat!("webhooks-cli/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            // A key must not follow to where it was not meant for.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| Failure::unreachable("no HTTP client", &error))?;
        Ok(Self {
            http,
            base,
            authorization: authorization.transpose()?,
        })
    }

    /// Whether a key goes out so that others can read it.
    pub(super) fn is_open(&self) -> bool {
        self.authorization.is_some() && self.base.scheme() == "http" && !is_here(&self.base)
    }

    /// Asks the server.
    pub(super) async fn call(&self, request: Request) -> Result<Response<Body>, Failure> {
        let mut request = request.under(&self.base)?;
        if let Some(authorization) = &self.authorization {
            request
                .headers_mut()
                .insert(AUTHORIZATION, authorization.clone());
        }
        let failed = |error: reqwest::Error| {
            // Without the URL: what was asked for may stand in it.
            let text = format!(
                "{} cannot be asked",
                self.base.origin().ascii_serialization()
            );
            Failure::unreachable(text, &error.without_url())
        };
        let request = reqwest::Request::try_from(request).map_err(failed)?;
        let response = self.http.execute(request).await.map_err(failed)?;
        Ok(Response::from(response).map(Body::new))
    }
}

/// The address of the API, of what people write: with it, or without.
fn base(url: &Url) -> Result<Url, Failure> {
    let mut url = url.clone();
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Failure::usage("the server's URL needs http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        let text = "the server's URL has a user or a password: keys go into WEBHOOKS_KEY";
        return Err(Failure::usage(text));
    }
    url.set_query(None);
    url.set_fragment(None);
    let path = url.path().trim_end_matches('/');
    let path = path.strip_suffix("/api/v1").unwrap_or(path);
    let path = format!("{path}/api/v1");
    url.set_path(&path);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_taken_as_people_write_it() {
        let base = |text: &str| base(&text.parse().unwrap()).map(String::from);
        let plain = "http://h:1/api/v1";
        for text in [
            "http://h:1",
            "http://h:1/",
            "http://h:1/api/v1",
            "http://h:1/api/v1/?a#b",
        ] {
            assert_eq!(base(text).unwrap(), plain);
        }
        assert_eq!(base("https://h/hooks/").unwrap(), "https://h/hooks/api/v1");
        for text in ["ftp://h", "http://u@h", "http://u:p@h"] {
            assert_eq!(base(text).unwrap_err().code(), 2, "{text}");
        }
    }
}
