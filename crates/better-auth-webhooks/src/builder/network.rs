//! How requests leave: where they may go, and by which way.

use std::sync::Arc;

use webhooks_delivery::{NetworkPolicy, ProxyConfig, Resolve, TlsOptions};

use super::WebhookSystemBuilder;

/// How requests leave.
impl WebhookSystemBuilder {
    /// What requests may reach. Defaults to the strict policy: https to public addresses.
    ///
    /// ```
    /// # fn main() -> Result<(), better_auth_webhooks::WebhookError> {
    /// use better_auth_webhooks::{NetworkPolicy, WebhookSystem};
    ///
    /// let builder = WebhookSystem::builder().network_policy(NetworkPolicy::default().allow_cidr("10.1.0.0/16")?);
    /// # drop(builder);
    /// # Ok(())
    /// # }
    /// ```
    pub fn network_policy(mut self, policy: NetworkPolicy) -> Self {
        self.network_policy = policy;
        self
    }

    /// What resolves names; its answers are judged like those of the default, which is the
    /// operating system's.
    ///
    /// ```
    /// use std::net::IpAddr;
    ///
    /// use async_trait::async_trait;
    /// use better_auth_webhooks::{Resolve, WebhookSystem};
    ///
    /// #[derive(Debug)]
    /// struct OneAddress(IpAddr);
    ///
    /// #[async_trait]
    /// impl Resolve for OneAddress {
    ///     async fn resolve(&self, _host: &str) -> std::io::Result<Vec<IpAddr>> {
    ///         Ok(vec![self.0])
    ///     }
    /// }
    ///
    /// let resolver = OneAddress([203, 0, 113, 7].into());
    /// let builder = WebhookSystem::builder().resolver(resolver);
    /// ```
    pub fn resolver(mut self, resolver: impl Resolve + 'static) -> Self {
        self.resolver = Some(Arc::new(resolver));
        self
    }

    /// Whom to trust under TLS. Defaults to the usual public roots.
    ///
    /// ```
    /// use better_auth_webhooks::{TlsOptions, WebhookSystem};
    ///
    /// let builder = WebhookSystem::builder().tls(TlsOptions::default());
    /// ```
    pub fn tls(mut self, tls: TlsOptions) -> Self {
        self.tls = tls;
        self
    }

    /// How many bytes of a response's body are read, and how many of those are kept in the log of
    /// attempts. Defaults to 64 KiB and 4 KiB.
    ///
    /// ```
    /// use better_auth_webhooks::WebhookSystem;
    ///
    /// let builder = WebhookSystem::builder().response_limits(16 << 10, 1 << 10);
    /// ```
    pub const fn response_limits(mut self, read: usize, kept: usize) -> Self {
        self.response_limits = Some((read, kept));
        self
    }

    /// How many bytes of a response's headers are kept in the log of attempts, names and values together:
    /// those that fit, in the order in which they came, without `set-cookie`. Defaults to 0, none.
    ///
    /// ```
    /// use better_auth_webhooks::WebhookSystem;
    ///
    /// let builder = WebhookSystem::builder().keep_response_headers(4 << 10);
    /// ```
    pub const fn keep_response_headers(mut self, bytes: usize) -> Self {
        self.response_headers = bytes;
        self
    }

    /// Sends every request through a tunnel of this [proxy](ProxyConfig), given by its URL, such as
    /// `http://user:password@host:port`: to addresses that were judged here, or to names that the proxy
    /// resolves. Defaults to none; the environment is never asked.
    ///
    /// ```
    /// use better_auth_webhooks::WebhookSystem;
    ///
    /// let builder = WebhookSystem::builder().proxy("http://proxy.example.com:3128");
    /// ```
    pub fn proxy(mut self, proxy: impl Into<ProxyConfig>) -> Self {
        self.proxy = Some(proxy.into());
        self
    }
}
