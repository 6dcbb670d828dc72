//! The HTTP client of tests.

/// A client for servers of tests.
///
/// With the command line in the same build, reqwest has TLS, and panics without a provider for it.
///
/// # Panics
///
/// If there can be no client.
#[must_use]
pub fn http_client() -> reqwest::Client {
    let _first = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::default()
}
