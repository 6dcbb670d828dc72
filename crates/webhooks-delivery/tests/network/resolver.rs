//! Resolvers: the operating system's, and one that hangs.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use webhooks_core::FailureKind;
use webhooks_delivery::{Resolve, SystemResolver};

use crate::support::{Server, builder, deliver, engine, failed};

/// A name server that never answers.
struct Hung;

#[async_trait]
impl Resolve for Hung {
    async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_lookup_that_hangs_ends_with_the_attempt() {
    let engine = builder()
        .resolver(Arc::new(Hung))
        .timeout(Duration::from_millis(50))
        .build()
        .unwrap();
    let result = deliver(&engine, "https://hooks.example.com/").await;
    failed(&result, FailureKind::Timeout);
}

#[tokio::test]
async fn localhost_is_a_loopback_address_for_everybody_who_asks_at_once() {
    let resolver = SystemResolver::new();
    let lookups = (0..200).map(|_| resolver.resolve("localhost"));
    for answer in futures_util::future::join_all(lookups).await {
        let answer = answer.unwrap();
        assert!(!answer.is_empty() && answer.iter().all(IpAddr::is_loopback));
    }
    assert!(resolver.resolve("localhost").await.is_ok());
}

#[test]
fn a_lookup_that_ended_with_its_runtime_fails_once_and_not_for_ever() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap()
    };
    let resolver = SystemResolver::new();
    let cut_off = runtime().block_on(async { resolver.resolve("localhost").now_or_never() });
    assert!(cut_off.is_none());
    let later = runtime();
    drop(later.block_on(resolver.resolve("localhost")));
    assert!(later.block_on(resolver.resolve("localhost")).is_ok());
}

#[tokio::test]
async fn a_name_that_no_resolver_can_hold_is_an_error() {
    let resolver = SystemResolver::new();
    assert!(resolver.resolve("no such name.invalid").await.is_err());
}

#[tokio::test]
async fn a_permissive_engine_delivers_to_localhost_by_name() {
    let server = Server::responding("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let url = format!("http://localhost:{}/", server.address.port());
    assert!(deliver(&engine(), &url).await.is_delivered());
}
