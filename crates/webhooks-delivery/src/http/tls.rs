//! TLS: whom to trust, and who we are.
//!
//! There is no way to turn verification off. A test uses a root of its own.

use std::fmt;
use std::sync::Arc;

use rustls::client::WantsClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};
use webhooks_core::{Result, WebhookError};

/// Whom to trust, and who we are.
///
/// TLS 1.2 and 1.3 with the usual public roots (webpki-roots), which further roots can join or the
/// operating system's verifier can replace. Certificates are always verified.
///
/// ```
/// use webhooks_delivery::TlsOptions;
///
/// let not_pem = TlsOptions::default().add_roots_pem(b"no certificate");
/// assert!(not_pem.is_err());
/// ```
#[derive(Clone, Default)]
pub struct TlsOptions {
    roots: Vec<CertificateDer<'static>>,
    identity: Option<Arc<Identity>>,
    #[cfg(feature = "platform-verifier")]
    // Only with its feature, since its dependencies differ by platform.
    platform_verifier: bool,
}

struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl TlsOptions {
    /// Also trusts the certificates of a PEM text, such as those of a private authority.
    ///
    /// # Errors
    ///
    /// [`WebhookError::InvalidConfig`] when it holds no certificate or a malformed one.
    #[must_use = "the options are in the result"]
    pub fn add_roots_pem(mut self, pem: &[u8]) -> Result<Self> {
        self.roots.extend(certificates(pem)?);
        Ok(self)
    }

    /// Also trusts one certificate in DER form. It is read when the engine is built.
    #[must_use]
    pub fn add_root_der(mut self, der: Vec<u8>) -> Self {
        self.roots.push(der.into());
        self
    }

    /// Shows endpoints that ask for one this certificate (mutual TLS): the PEM texts of its chain,
    /// leaf first, and of its private key.
    ///
    /// # Errors
    ///
    /// [`WebhookError::InvalidConfig`] when either is malformed.
    #[must_use = "the options are in the result"]
    pub fn client_certificate_pem(mut self, chain: &[u8], key: &[u8]) -> Result<Self> {
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|_| invalid("the client certificate's key is not a PEM private key"))?;
        let chain = certificates(chain)?;
        self.identity = Some(Arc::new(Identity { chain, key }));
        Ok(self)
    }

    /// Verifies certificates as the operating system does, with its roots, in place of the public
    /// ones that are built in.
    #[cfg(feature = "platform-verifier")]
    #[must_use]
    pub fn platform_verifier(mut self) -> Self {
        self.platform_verifier = true;
        self
    }

    pub(crate) fn build(&self) -> Result<Arc<ClientConfig>> {
        // The provider is named, because a program may hold several and the bare builder panics.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| broken("tls versions do not fit the provider", error))?;
        #[cfg(feature = "platform-verifier")]
        if self.platform_verifier {
            let roots = self.roots.iter().cloned();
            let verifier =
                rustls_platform_verifier::Verifier::new_with_extra_roots(roots, provider)
                    .map_err(|error| broken("the platform verifier does not start", error))?;
            let builder = builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(verifier));
            return self.finish(builder);
        }
        let roots = self.trusted()?;
        self.finish(builder.with_root_certificates(roots))
    }

    fn trusted(&self) -> Result<RootCertStore> {
        let mut roots = RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        };
        for root in &self.roots {
            roots
                .add(root.clone())
                .map_err(|error| broken("a root certificate is malformed", error))?;
        }
        Ok(roots)
    }

    fn finish(
        &self,
        builder: ConfigBuilder<ClientConfig, WantsClientCert>,
    ) -> Result<Arc<ClientConfig>> {
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => builder
                .with_client_auth_cert(identity.chain.clone(), identity.key.clone_key())
                .map_err(|error| broken("the client certificate does not fit its key", error))?,
        };
        // Named, so that a server that prefers HTTP/2 does not choose it.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

impl fmt::Debug for TlsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsOptions")
            .field("extra_roots", &self.roots.len())
            .field("client_certificate", &self.identity.is_some())
            .finish_non_exhaustive()
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|_| invalid("a certificate is not well-formed PEM"))?;
    if certificates.is_empty() {
        return Err(invalid("a PEM text holds no certificate"));
    }
    Ok(certificates)
}

fn invalid(problem: &str) -> WebhookError {
    WebhookError::InvalidConfig(problem.into())
}

fn broken(problem: &str, source: rustls::Error) -> WebhookError {
    WebhookError::InvalidConfig(webhooks_core::Detail::with_source(problem, source))
}
