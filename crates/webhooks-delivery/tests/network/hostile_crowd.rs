//! Every kind of hostile receiver at once, beside a healthy one, on one engine: each has its meaning
//! after one request within the deadline, and the healthy one is served all the while.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::{Peer, Server, builder, deliver, engine, failed};
use futures_util::future::join_all;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep, timeout};
use webhooks_core::{DeliveryResult, FailureKind, Outcome};
use webhooks_delivery::DeliveryEngine;

const DEADLINE: Duration = Duration::from_secs(3);
/// What ending an attempt may take beyond its deadline on a machine that is busy.
const GRACE: Duration = Duration::from_secs(5);
const TEN_GB: u64 = 10_000_000_000;

/// What compresses a mebibyte of zeros: 25 bytes, 1,016 zeros, ten bytes.
const BOMB: ([u8; 25], usize, [u8; 10]) = (
    [
        0x1f, 0x8b, 0x08, 0, 0, 0, 0, 0, 0x02, 0x03, 0xed, 0xc1, 0x31, 0x01, 0, 0, 0, 0xc2, 0xa0,
        0xf5, 0x4f, 0x6d, 0x08, 0x5f, 0xa0,
    ],
    1_016,
    [0x3e, 0x03, 0x1c, 0xea, 0x38, 0xa7, 0, 0, 0x10, 0],
);

type Served = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;
type Behaviour = fn(Peer) -> Served;

async fn start(behaviour: Behaviour) -> Server {
    Server::start("127.0.0.1", behaviour).await
}

fn bomb() -> Vec<u8> {
    let (start, zeros, end) = BOMB;
    [&start[..], &vec![0; zeros], &end].concat()
}

/// Writes a head, then the same bytes until the client has had enough.
async fn flood(mut peer: Peer, head: &str, bytes: &[u8]) -> io::Result<()> {
    peer.request().await?;
    peer.stream.write_all(head.as_bytes()).await?;
    loop {
        peer.stream.write_all(bytes).await?;
    }
}

/// Responds, and holds the connection.
async fn respond(mut peer: Peer, response: &[u8]) -> io::Result<()> {
    peer.request().await?;
    peer.stream.write_all(response).await?;
    peer.wait_for_close().await;
    Ok(())
}

const fn failure(kind: FailureKind) -> Outcome {
    Outcome::Failed(kind)
}

/// Receivers that do not let a response come to its end.
const STALLING: [(&str, Outcome, Behaviour); 7] = [
    (
        "never accepts HTTP",
        failure(FailureKind::Timeout),
        |mut peer| {
            Box::pin(async move {
                sleep(DEADLINE * 10).await;
                peer.stream.write_all(b"").await
            })
        },
    ),
    ("never responds", failure(FailureKind::Timeout), |peer| {
        Box::pin(respond(peer, b""))
    }),
    (
        "one byte a second",
        failure(FailureKind::Timeout),
        |mut peer| {
            Box::pin(async move {
                peer.request().await?;
                for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" {
                    peer.stream.write_all(&[*byte]).await?;
                    sleep(Duration::from_secs(1)).await;
                }
                Ok(())
            })
        },
    ),
    (
        "an interim response now and then",
        failure(FailureKind::Timeout),
        |mut peer| {
            Box::pin(async move {
                peer.request().await?;
                loop {
                    peer.stream.write_all(b"HTTP/1.1 102 Wait\r\n\r\n").await?;
                    sleep(DEADLINE / 20).await;
                }
            })
        },
    ),
    ("accepts and resets", failure(FailureKind::Reset), |peer| {
        Box::pin(async move { peer.stream.set_zero_linger() })
    }),
    (
        "reads and resets",
        failure(FailureKind::Reset),
        |mut peer| {
            Box::pin(async move {
                peer.request().await?;
                peer.stream.set_zero_linger()
            })
        },
    ),
    ("half a head", failure(FailureKind::Reset), |mut peer| {
        Box::pin(async move {
            peer.request().await?;
            peer.stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-")
                .await?;
            peer.stream.shutdown().await
        })
    }),
];

/// Receivers that respond with too much.
const FLOODING: [(&str, Outcome, Behaviour); 7] = [
    (
        "interim responses for ever",
        failure(FailureKind::MalformedResponse),
        |peer| {
            let interim = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(50);
            Box::pin(async move { flood(peer, "", &interim).await })
        },
    ),
    (
        "headers for ever",
        failure(FailureKind::MalformedResponse),
        |peer| {
            Box::pin(flood(
                peer,
                "HTTP/1.1 200 OK\r\n",
                b"X-More: of the same\r\n",
            ))
        },
    ),
    (
        "one header for ever",
        failure(FailureKind::MalformedResponse),
        |peer| Box::pin(flood(peer, "HTTP/1.1 200 OK\r\nX-Long: ", &[b'x'; 4_096])),
    ),
    (
        "100,000 headers",
        failure(FailureKind::MalformedResponse),
        |peer| {
            let head = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(100_000));
            Box::pin(async move { respond(peer, head.as_bytes()).await })
        },
    ),
    ("10 GB that are accepted", Outcome::Delivered, |peer| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {TEN_GB}\r\n\r\n");
        Box::pin(async move { flood(peer, &head, &[b'x'; 16_384]).await })
    }),
    (
        "10 GB of an error",
        failure(FailureKind::ServerError),
        |peer| {
            let head = format!("HTTP/1.1 500 Oh\r\nContent-Length: {TEN_GB}\r\n\r\n");
            Box::pin(async move { flood(peer, &head, &[b'x'; 16_384]).await })
        },
    ),
    (
        "chunks for ever",
        failure(FailureKind::ClientError),
        |peer| {
            let head = "HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n";
            Box::pin(flood(peer, head, b"1\r\nx\r\n"))
        },
    ),
];

/// Receivers that respond with what nobody asked for.
const LYING: [(&str, Outcome, Behaviour); 9] = [
    (
        "another protocol",
        failure(FailureKind::MalformedResponse),
        |peer| Box::pin(respond(peer, b"SSH-2.0-OpenSSH_9.6\r\n\r\n")),
    ),
    ("HTTP/2", failure(FailureKind::MalformedResponse), |peer| {
        Box::pin(respond(
            peer,
            b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x80\0\x04\0\x01",
        ))
    }),
    (
        "a switch of protocols",
        failure(FailureKind::MalformedResponse),
        |peer| {
            let switch = b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
            Box::pin(respond(peer, switch))
        },
    ),
    (
        "a chunk of no size",
        failure(FailureKind::ServerError),
        |peer| {
            let head = b"HTTP/1.1 502 Oh\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nx\r\n";
            Box::pin(respond(peer, head))
        },
    ),
    ("a huge chunk", failure(FailureKind::ServerError), |peer| {
        let head = b"HTTP/1.1 502 Oh\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n";
        Box::pin(respond(peer, head))
    }),
    (
        "a broken chunk that is accepted",
        Outcome::Delivered,
        |peer| {
            let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n";
            Box::pin(respond(peer, head))
        },
    ),
    (
        "two lengths",
        failure(FailureKind::MalformedResponse),
        |peer| {
            let head = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab";
            Box::pin(respond(peer, head))
        },
    ),
    ("a gzip bomb", failure(FailureKind::ServerError), |peer| {
        let head = b"HTTP/1.1 500 Oh\r\nContent-Encoding: gzip\r\nContent-Length: 1051\r\n\r\n";
        Box::pin(async move { respond(peer, &[&head[..], &bomb()].concat()).await })
    }),
    (
        "a redirect to the metadata",
        failure(FailureKind::Redirect),
        |peer| {
            let head =
                b"HTTP/1.1 307 X\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n";
            Box::pin(respond(peer, head))
        },
    ),
];

/// One attempt at one receiver.
async fn attempt(engine: &DeliveryEngine, row: &(&str, Outcome, Behaviour)) -> DeliveryResult {
    let (name, meaning, behaviour) = row;
    let server = start(*behaviour).await;
    let started = Instant::now();
    let result = deliver(engine, &server.url()).await;
    assert!(started.elapsed() < DEADLINE + GRACE, "{name}: {result:?}");
    // A reset that comes at once is seen while the connection is made, or after that.
    let at_once = *name == "accepts and resets" && result.failure() == Some(FailureKind::Connect);
    // On a busy machine the deadline may come before as many of them as are taken.
    let endless =
        *name == "interim responses for ever" && result.failure() == Some(FailureKind::Timeout);
    let other = at_once || endless;
    assert!(other || result.outcome == *meaning, "{name}: {result:?}");
    assert_eq!(server.connections(), 1, "{name}");
    assert!(server.requests().len() <= 1, "{name}");
    assert!(result.response.len() <= 4_096, "{name}");
    if *name == "a gzip bomb" {
        assert_eq!(result.response, bomb());
    }
    result
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_has_its_meaning_after_one_request_and_a_healthy_one_is_served_beside_them() {
    let engine = builder().timeout(DEADLINE).build().unwrap();
    let ok = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let healthy = Server::start("127.0.0.1", |peer| peer.respond_to_all(ok)).await;
    let url = healthy.url();
    let rows = STALLING.iter().chain(&FLOODING).chain(&LYING);
    let hostile = join_all(rows.map(|row| attempt(&engine, row)));
    let mut hostile = std::pin::pin!(hostile);
    let served = AtomicUsize::new(0);
    let serve = async {
        loop {
            let result = timeout(GRACE, deliver(&engine, &url)).await.unwrap();
            assert!(result.is_delivered(), "{result:?}");
            served.fetch_add(1, Ordering::Relaxed);
        }
    };
    tokio::select! {
        _ = &mut hostile => {}
        () = serve => {}
    }
    // The slowest take the whole deadline; the healthy one needs a millisecond, and had it to wait for
    // one of them, it would be served once or twice.
    assert!(served.load(Ordering::Relaxed) > 10, "{served:?}");
}

#[tokio::test]
async fn of_an_endless_response_only_the_cap_and_what_is_on_its_way_is_taken() {
    let body = "HTTP/1.1 500 Oh\r\nContent-Length: 10000000000\r\n\r\n";
    let interim = "HTTP/1.1 102 Wait\r\n\r\n";
    for (head, endless, meaning) in [
        (body, "x", FailureKind::ServerError),
        ("", interim, FailureKind::MalformedResponse),
    ] {
        let written = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&written);
        let endless = endless.repeat(4_096 / endless.len());
        let server = Server::start("127.0.0.1", move |mut peer| {
            let (count, endless) = (Arc::clone(&count), endless.clone());
            async move {
                peer.request().await?;
                peer.stream.write_all(head.as_bytes()).await?;
                loop {
                    peer.stream.write_all(endless.as_bytes()).await?;
                    count.fetch_add(endless.len(), Ordering::Relaxed);
                }
            }
        })
        .await;
        failed(&deliver(&engine(), &server.url()).await, meaning);
        // The buffers of the kernel take some mebibytes.
        assert!(written.load(Ordering::Relaxed) < 32 << 20, "{written:?}");
    }
}

#[tokio::test]
async fn redirects_in_a_chain_to_metadata_addresses_end_at_the_first() {
    for target in [
        "http://169.254.169.254/latest/meta-data/",
        "https://[fd00:ec2::254]/",
        "//100.100.100.200/",
        "http://[::ffff:169.254.169.254]/",
        "/next",
    ] {
        for status in [301, 302, 303, 305, 307, 308] {
            let head = format!("HTTP/1.1 {status} X\r\nLocation: {target}\r\n");
            let server = Server::responding(head + "Content-Length: 0\r\n\r\n").await;
            let result = deliver(&engine(), &server.url()).await;
            failed(&result, FailureKind::Redirect);
            assert_eq!((server.connections(), server.requests().len()), (1, 1));
        }
    }
}

#[tokio::test]
async fn every_value_of_retry_after_in_the_vectors_is_read_from_the_wire() {
    let vectors = include_str!("../../../../tests/vectors/retry_after.json");
    let vectors: serde_json::Value = serde_json::from_str(vectors).unwrap();
    let mut sent = 0;
    for (row, status) in vectors["cases"]
        .as_array()
        .unwrap()
        .iter()
        .zip([429, 503].iter().cycle())
    {
        let lines = match &row["value"] {
            serde_json::Value::Array(lines) => lines.clone(),
            line => vec![line.clone()],
        };
        let lines = lines.iter().map(|line| line.as_str().unwrap());
        // Control characters end a response, as malformed, before its headers are read.
        if lines
            .clone()
            .any(|line| line.contains(|c: char| c.is_control()))
        {
            continue;
        }
        let lines: String = lines
            .map(|line| format!("Retry-After: {line}\r\n"))
            .collect();
        let head = format!("HTTP/1.1 {status} Later\r\n{lines}Content-Length: 0\r\n\r\n");
        let server = Server::responding(head).await;
        let result = deliver(&engine(), &server.url()).await;
        assert_eq!(result.status, Some(*status), "{row}");
        let wait = result.retry_after.map(|wait| wait.as_secs());
        assert_eq!(wait, row["expect_secs"].as_u64(), "{row}");
        sent += 1;
    }
    assert!(sent > 25);
}

/// A kept connection that is closed after the request was written: nobody knows whether the
/// receiver acted on it, so it fails and is not sent again within the attempt.
#[tokio::test]
async fn a_kept_connection_that_breaks_after_the_request_fails_without_sending_it_again() {
    let ok: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let endings: [&[u8]; 3] = [b"", b"H", b"HTTP/1.1 200 OK\r\nContent-Length: 5"];
    for ending in endings {
        let server = Server::start("127.0.0.1", move |mut peer| async move {
            peer.request().await?;
            peer.stream.write_all(ok).await?;
            peer.request().await?;
            peer.stream.write_all(ending).await?;
            peer.stream.shutdown().await
        })
        .await;
        let engine = engine();
        assert!(deliver(&engine, &server.url()).await.is_delivered());
        failed(&deliver(&engine, &server.url()).await, FailureKind::Reset);
        assert_eq!((server.connections(), server.requests().len()), (1, 2));
    }
}
