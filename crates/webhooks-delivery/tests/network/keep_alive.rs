//! Connections are used again, and only when that is safe.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use crate::support::{Server, builder, deliver, engine, header};
use futures_util::future::join_all;
use tokio::io::AsyncWriteExt;
use tokio::sync::Barrier;
use tokio::time::timeout;
use webhooks_core::{DeliveryResult, FailureKind};
use webhooks_delivery::DeliveryEngine;

const EMPTY: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const WITH_BODY: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
const FAILURE: &[u8] = b"HTTP/1.1 500 Oh\r\nContent-Length: 5\r\n\r\nsorry";

#[tokio::test]
async fn requests_one_after_the_other_share_a_connection() {
    for response in [EMPTY, WITH_BODY, CHUNKED, FAILURE] {
        let server = Server::start("127.0.0.1", |peer| peer.respond_to_all(response)).await;
        let engine = engine();
        for _ in 0..50 {
            assert!(deliver(&engine, &server.url()).await.status.is_some());
        }
        assert_eq!(
            server.connections(),
            1,
            "{}",
            String::from_utf8_lossy(response)
        );
        assert_eq!(server.requests().len(), 50);
    }
}

#[tokio::test]
async fn an_accepted_response_whose_body_comes_later_gives_its_connection_back() {
    let (send, receive) = tokio::sync::oneshot::channel::<()>();
    let receive = std::sync::Mutex::new(Some(receive));
    let server = Server::start("127.0.0.1", move |mut peer| {
        let late = receive.lock().unwrap().take();
        async move {
            peer.request().await?;
            peer.stream
                .write_all(&WITH_BODY[..WITH_BODY.len() - 3])
                .await?;
            if let Some(late) = late {
                let _ = late.await;
            }
            peer.stream.write_all(b"llo").await?;
            peer.respond_to_all(WITH_BODY).await
        }
    })
    .await;
    let engine = engine();
    assert!(deliver(&engine, &server.url()).await.is_delivered());
    send.send(()).unwrap();
    // The second may come before the rest of the first response: one of them is on the first connection.
    for _ in 0..20 {
        assert!(deliver(&engine, &server.url()).await.is_delivered());
    }
    assert!(server.connections() <= 2);
}

#[tokio::test]
async fn a_connection_that_the_server_closed_is_replaced_and_the_request_arrives_once() {
    // Every connection responds to one request and is closed without saying so.
    let server = Server::start("127.0.0.1", |mut peer| async move {
        peer.request().await?;
        peer.stream.write_all(EMPTY).await
    })
    .await;
    let engine = engine();
    for sent in 1..=20 {
        let result = deliver(&engine, &server.url()).await;
        assert!(result.is_delivered(), "{result:?}");
        assert_eq!(server.requests().len(), sent);
        // The kernel has the end of the connection since before the response was read; a turn of the
        // runtime's reactor makes it known.
        for _ in 0..4 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(server.connections(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_not_used_after_its_verdict_has_run_out() {
    let server = Server::start("127.0.0.1", |peer| peer.respond_to_all(EMPTY)).await;
    let engine = engine();
    let url = server.url();
    for _ in 0..12 {
        assert!(deliver(&engine, &url).await.is_delivered());
        tokio::time::advance(Duration::from_secs(30)).await;
    }
    // Twelve requests in six minutes: the first ten on one connection, the others on a second.
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn requests_at_once_each_have_a_connection() {
    let server = Server::start("127.0.0.1", |peer| peer.respond_to_all(WITH_BODY)).await;
    let engine = engine();
    let url = server.url();
    let all = join_all((0..8).map(|_| deliver(&engine, &url)));
    let results = timeout(Duration::from_secs(8), all).await.unwrap();
    assert!(results.iter().all(DeliveryResult::is_delivered));
    assert_eq!(server.requests().len(), 8);
    assert!(server.connections() <= 8);
}

/// Sends so many requests at once, twice; the connections that this took.
async fn two_crowds(engine: &DeliveryEngine, size: usize) -> usize {
    let all_are_there = Arc::new(Barrier::new(size));
    let server = Server::start("127.0.0.1", move |mut peer| {
        let all_are_there = Arc::clone(&all_are_there);
        async move {
            loop {
                peer.request().await?;
                all_are_there.wait().await;
                peer.stream.write_all(EMPTY).await?;
            }
        }
    })
    .await;
    for _ in 0..2 {
        let url = server.url();
        let crowd = join_all((0..size).map(|_| deliver(engine, &url)));
        let results = timeout(Duration::from_secs(15), crowd).await.unwrap();
        assert!(results.iter().all(DeliveryResult::is_delivered));
    }
    server.connections()
}

#[tokio::test]
async fn so_many_connections_are_kept_as_is_said() {
    assert_eq!(two_crowds(&engine(), 256).await, 256);
    assert_eq!(two_crowds(&engine(), 300).await, 300 + (300 - 256));
    let few = builder().max_idle_per_origin(10).build().unwrap();
    assert_eq!(two_crowds(&few, 30).await, 30 + (30 - 10));
    let none = builder().max_idle_per_origin(0).build().unwrap();
    assert_eq!(two_crowds(&none, 3).await, 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_request_arrives_twice_whenever_its_connection_closes() {
    let server = Server::start("127.0.0.1", |mut peer| async move {
        peer.request().await?;
        peer.stream.write_all(EMPTY).await
    })
    .await;
    let engine = engine();
    let mut delivered = 0;
    for _ in 0..500 {
        let result = deliver(&engine, &server.url()).await;
        // A request that was written to a connection that was closing may be lost, and fails.
        assert!(matches!(result.failure(), None | Some(FailureKind::Reset)));
        delivered += usize::from(result.is_delivered());
    }
    let requests = server.requests();
    let ids: HashSet<_> = requests
        .iter()
        .map(|request| header(request, "x-webhook-delivery").unwrap())
        .collect();
    assert_eq!((ids.len(), requests.len()), (delivered, delivered));
}

/// What a receiver sends beyond its response must not become the response of the next request.
#[tokio::test]
async fn a_response_that_comes_before_its_request_is_never_taken() {
    const BOTH: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n\
        HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n";
    let server = Server::start("127.0.0.1", |peer| peer.respond_to_all(BOTH)).await;
    let engine = engine();
    for _ in 0..20 {
        let result = deliver(&engine, &server.url()).await;
        assert_ne!(result.failure(), Some(FailureKind::Gone), "{result:?}");
    }
}
