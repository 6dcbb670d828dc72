//! Certificates that are good, and those that are not, at a real TLS server.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, Issuer, KeyPair, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use webhooks_core::{DeliveryResult, FailureKind};
use webhooks_delivery::{DeliveryEngine, TlsOptions};

use crate::support::{Scripted, Server, builder, deliver, failed};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, both in PEM.
struct Leaf {
    chain: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    fn issue(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Leaf {
        let issuer: &Issuer<'_, KeyPair> = &self.0;
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, issuer).unwrap();
        Leaf {
            chain: certificate.pem(),
            key: key.serialize_pem(),
        }
    }

    fn trusted(&self) -> TlsOptions {
        TlsOptions::default()
            .add_roots_pem(self.0.pem().as_bytes())
            .unwrap()
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        Arc::new(roots)
    }
}

/// Serves `leaf` on a loopback port, one response per connection.
async fn serve(leaf: &Leaf, clients: Option<&Authority>) -> u16 {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => builder.with_client_cert_verifier(
            WebPkiClientVerifier::builder_with_provider(authority.roots(), provider)
                .build()
                .unwrap(),
        ),
    };
    let chain = vec![CertificateDer::from_pem_slice(leaf.chain.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(builder.with_single_cert(chain, key).unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut request = [0; 8_192];
            let response = async {
                let _read = stream.read(&mut request).await?;
                stream.write_all(OK).await?;
                stream.shutdown().await
            };
            drop(response.await);
        }
    });
    port
}

fn trusting(tls: TlsOptions) -> DeliveryEngine {
    let resolver = Scripted::new(&[&["127.0.0.1"]]);
    builder().tls(tls).resolver(resolver).build().unwrap()
}

async fn deliver_to(port: u16, tls: TlsOptions) -> DeliveryResult {
    deliver(
        &trusting(tls),
        &format!("https://hooks.example.com.:{port}/in"),
    )
    .await
}

#[tokio::test]
async fn a_certificate_of_a_trusted_root_is_accepted() {
    let authority = Authority::new();
    let port = serve(&authority.issue("hooks.example.com", |_| {}), None).await;
    let result = deliver_to(port, authority.trusted()).await;
    assert!(result.is_delivered(), "{result:?}");
    let der = TlsOptions::default().add_root_der(authority.0.der().to_vec());
    assert!(deliver_to(port, der).await.is_delivered());
}

#[tokio::test]
async fn an_address_in_the_certificate_stands_for_an_ip_literal() {
    let authority = Authority::new();
    let port = serve(&authority.issue("127.0.0.1", |_| {}), None).await;
    let engine = trusting(authority.trusted());
    let result = deliver(&engine, &format!("https://127.0.0.1:{port}/")).await;
    assert!(result.is_delivered(), "{result:?}");
}

#[tokio::test]
async fn a_certificate_that_is_expired_or_of_another_name_or_root_is_refused() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let expired = authority.issue("hooks.example.com", |params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2020, 2, 1);
    });
    let bad = [
        expired,
        authority.issue("other.example.com", |_| {}),
        stranger.issue("hooks.example.com", |_| {}),
    ];
    for leaf in &bad {
        let port = serve(leaf, None).await;
        failed(
            &deliver_to(port, authority.trusted()).await,
            FailureKind::Tls,
        );
    }
    let own = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["hooks.example.com".to_owned()]).unwrap();
    let self_signed = Leaf {
        chain: params.self_signed(&own).unwrap().pem(),
        key: own.serialize_pem(),
    };
    let port = serve(&self_signed, None).await;
    failed(
        &deliver_to(port, TlsOptions::default()).await,
        FailureKind::Tls,
    );
}

#[tokio::test]
async fn plain_http_on_a_tls_port_is_a_tls_failure() {
    let server = Server::start("127.0.0.1", |mut peer| async move {
        peer.stream.write_all(b"HTTP/1.1 400 No\r\n\r\n").await?;
        peer.wait_for_close().await;
        Ok(())
    })
    .await;
    let port = server.address.port();
    failed(
        &deliver_to(port, TlsOptions::default()).await,
        FailureKind::Tls,
    );
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_who_asks_for_one() {
    let authority = Authority::new();
    let server = authority.issue("hooks.example.com", |_| {});
    let port = serve(&server, Some(&authority)).await;
    // The alert of the server can be lost when it closes with our request unread.
    let refused = deliver_to(port, authority.trusted()).await.failure();
    assert!(matches!(
        refused,
        Some(FailureKind::Tls | FailureKind::Reset)
    ));
    let us = authority.issue("sender.example.com", |_| {});
    let (chain, key) = (us.chain.as_bytes(), us.key.as_bytes());
    let tls = authority
        .trusted()
        .client_certificate_pem(chain, key)
        .unwrap();
    assert!(!format!("{tls:?}").contains("PRIVATE"));
    let result = deliver_to(port, tls).await;
    assert!(result.is_delivered(), "{result:?}");
}

#[test]
fn malformed_certificates_and_keys_are_refused_without_showing_them() {
    let options = TlsOptions::default;
    let error = options().add_roots_pem(b"hunter2").unwrap_err();
    assert!(!error.to_string().contains("hunter2"));
    assert!(options().client_certificate_pem(b"x", b"hunter2").is_err());
    let tls = options().add_root_der(b"hunter2".to_vec());
    assert!(builder().tls(tls).build().is_err());
}
