//! Receivers that stall, flood, lie and break off, on real sockets.

use std::time::Duration;

use crate::support::{Server, builder, deliver, engine, failed};
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep, timeout};
use webhooks_core::{DeliveryResult, FailureKind};
use webhooks_delivery::DeliveryEngine;

/// Long before the engine's deadline of 20 s.
const AT_ONCE: Duration = Duration::from_secs(8);

async fn soon(engine: &DeliveryEngine, server: &Server) -> DeliveryResult {
    timeout(AT_ONCE, deliver(engine, &server.url()))
        .await
        .unwrap()
}

/// An engine whose attempts have a short deadline.
fn hasty() -> DeliveryEngine {
    builder()
        .timeout(Duration::from_millis(300))
        .build()
        .unwrap()
}

#[tokio::test]
async fn a_2xx_head_delivers_although_its_body_stalls_and_the_connection_is_closed() {
    let (closed, mut is_closed) = tokio::sync::mpsc::channel(1);
    let server = Server::start("127.0.0.1", move |mut peer| {
        let closed = closed.clone();
        async move {
            peer.request().await?;
            let head = b"HTTP/1.1 202 Accepted\r\nContent-Length: 10\r\n\r\nabc";
            peer.stream.write_all(head).await?;
            peer.wait_for_close().await;
            closed.send(()).await.map_err(std::io::Error::other)
        }
    })
    .await;
    let engine = engine();
    let result = soon(&engine, &server).await;
    assert!(result.is_delivered());
    timeout(AT_ONCE, is_closed.recv()).await.unwrap().unwrap();
    assert_eq!(result.status, Some(202));
}

#[tokio::test]
async fn a_2xx_head_delivers_although_its_body_never_ends_and_the_connection_is_closed() {
    let (closed, mut is_closed) = tokio::sync::mpsc::channel(1);
    let server = Server::start("127.0.0.1", move |mut peer| {
        let closed = closed.clone();
        async move {
            peer.request().await?;
            peer.stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
            while peer.stream.write_all(&[b'x'; 8_192]).await.is_ok() {}
            closed.send(()).await.map_err(std::io::Error::other)
        }
    })
    .await;
    let engine = engine();
    let result = soon(&engine, &server).await;
    assert!(result.is_delivered());
    assert!(result.response.len() <= 4_096);
    timeout(AT_ONCE, is_closed.recv()).await.unwrap().unwrap();
}

#[tokio::test]
async fn an_endless_body_of_a_failure_is_read_up_to_the_cap_and_kept_to_4_kib() {
    let server = Server::start("127.0.0.1", |mut peer| async move {
        peer.request().await?;
        peer.stream.write_all(b"HTTP/1.1 500 Oh\r\n\r\n").await?;
        loop {
            peer.stream.write_all(&[b'x'; 8_192]).await?;
        }
    })
    .await;
    let result = soon(&engine(), &server).await;
    failed(&result, FailureKind::ServerError);
    assert_eq!(result.response, vec![b'x'; 4_096]);
}

#[tokio::test]
async fn a_failure_whose_body_stalls_keeps_its_status() {
    let server = Server::start("127.0.0.1", |mut peer| async move {
        peer.request().await?;
        let head =
            b"HTTP/1.1 503 No\r\nRetry-After: 7\r\nRetry-After: 9\r\nContent-Length: 9\r\n\r\nab";
        peer.stream.write_all(head).await?;
        peer.wait_for_close().await;
        Ok(())
    })
    .await;
    let result = soon(&hasty(), &server).await;
    failed(&result, FailureKind::ServerError);
    assert_eq!(result.retry_after, Some(Duration::from_secs(9)));
    assert_eq!(result.response, "ab");
}

#[tokio::test]
async fn a_receiver_that_never_responds_is_given_up_at_the_deadline() {
    let server = Server::start("127.0.0.1", |mut peer| async move {
        peer.wait_for_close().await;
        Ok(())
    })
    .await;
    let started = Instant::now();
    let result = soon(&hasty(), &server).await;
    failed(&result, FailureKind::Timeout);
    assert!(result.duration >= Duration::from_millis(300));
    assert!(started.elapsed() < AT_ONCE);
}

#[tokio::test]
async fn one_byte_at_a_time_does_not_outlast_the_deadline() {
    let server = Server::start("127.0.0.1", |mut peer| async move {
        peer.request().await?;
        for byte in b"HTTP/1.1 200 OK\r\nX-Slow: "
            .iter()
            .chain(std::iter::repeat(&b'x'))
        {
            peer.stream.write_all(&[*byte]).await?;
            sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    })
    .await;
    failed(&soon(&hasty(), &server).await, FailureKind::Timeout);
}

#[tokio::test]
async fn a_flood_of_interim_responses_is_a_malformed_response() {
    let server = Server::start("127.0.0.1", |mut peer| async move {
        peer.request().await?;
        loop {
            peer.stream
                .write_all(&b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(100))
                .await?;
        }
    })
    .await;
    failed(
        &soon(&engine(), &server).await,
        FailureKind::MalformedResponse,
    );
}

#[tokio::test]
async fn a_connection_that_breaks_before_the_response_is_a_reset() {
    let server = Server::start("127.0.0.1", |mut peer| async move {
        peer.request().await?;
        peer.stream.set_zero_linger()
    })
    .await;
    failed(&soon(&engine(), &server).await, FailureKind::Reset);
    let server = Server::responding("").await;
    failed(&soon(&engine(), &server).await, FailureKind::Reset);
    assert_eq!(server.requests().len(), 1);
    let server = Server::responding("HTTP/1.1 200 O").await;
    failed(&soon(&engine(), &server).await, FailureKind::Reset);
}

#[tokio::test]
async fn what_is_not_http_is_a_malformed_response() {
    let huge = format!("HTTP/1.1 200 OK\r\nX-Huge: {}\r\n\r\n", "x".repeat(200_000));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X-Many: x\r\n".repeat(3_000));
    for response in [
        "SSH-2.0-OpenSSH_9.6\r\n\r\n",
        "HTTP/1.1 9x9 What\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        &huge,
        &many,
    ] {
        let server = Server::responding(response).await;
        let result = soon(&engine(), &server).await;
        failed(&result, FailureKind::MalformedResponse);
    }
}

#[tokio::test]
async fn a_closed_port_and_an_unknown_name_have_kinds_of_their_own() {
    let server = Server::responding("").await;
    let url = server.url();
    let port = server.address.port();
    drop(server);
    // The listener closes with its task, which ends at its next turn.
    tokio::task::yield_now().await;
    failed(&deliver(&engine(), &url).await, FailureKind::Connect);
    let resolver = crate::support::Scripted::new(&[]);
    let unknown = builder().resolver(resolver).build().unwrap();
    let result = deliver(&unknown, &format!("http://hooks.example.com:{port}/")).await;
    failed(&result, FailureKind::Dns);
}

#[tokio::test]
async fn a_response_is_never_decompressed() {
    // The start of a gzip stream: what matters is that the bytes arrive as they were sent.
    let bomb: Vec<u8> = [0x1f, 0x8b, 8, 0].into_iter().chain([0; 996]).collect();
    let mut response =
        b"HTTP/1.1 500 Oh\r\nContent-Encoding: gzip\r\nContent-Length: 1000\r\n\r\n".to_vec();
    response.extend_from_slice(&bomb);
    let server = Server::responding(response).await;
    let result = soon(&engine(), &server).await;
    assert_eq!(result.response, bomb);
    assert_eq!(
        crate::support::header(&server.requests()[0], "accept-encoding"),
        None
    );
}

#[tokio::test]
async fn retry_after_counts_for_429_and_503_only_and_for_a_day_at_most() {
    for (status, expected) in [
        (429, Some(86_400)),
        (503, Some(86_400)),
        (500, None),
        (200, None),
    ] {
        let response =
            format!("HTTP/1.1 {status} X\r\nRetry-After: 999999\r\nContent-Length: 0\r\n\r\n");
        let server = Server::responding(response).await;
        let result = soon(&engine(), &server).await;
        assert_eq!(
            result.retry_after,
            expected.map(Duration::from_secs),
            "{status}"
        );
    }
}

/// As servers do that look at the length alone.
#[tokio::test]
async fn a_response_that_comes_before_the_whole_request_was_sent_counts() {
    for (status, kind) in [
        (413, FailureKind::TooLarge),
        (503, FailureKind::ServerError),
    ] {
        let server = Server::start("127.0.0.1", move |mut peer| async move {
            let mut start = [0; 100];
            tokio::io::AsyncReadExt::read_exact(&mut peer.stream, &mut start).await?;
            let response = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
            peer.stream.write_all(response.as_bytes()).await?;
            // Nothing more is read, until the client gives up.
            peer.stream.writable().await?;
            sleep(AT_ONCE * 4).await;
            Ok(())
        })
        .await;
        let event_type = webhooks_core::EventType::new("user.created").unwrap();
        let data = "x".repeat(8 << 20);
        let now = webhooks_core::Timestamp::from_secs(1_750_000_000);
        let event = webhooks_core::WebhookEvent::new(event_type, None, &data, 16 << 20, now);
        let mut delivery = crate::support::delivery(&server.url());
        delivery.event = std::sync::Arc::new(event.unwrap());
        let result = timeout(AT_ONCE, engine().deliver(&delivery)).await.unwrap();
        failed(&result.unwrap(), kind);
    }
}
