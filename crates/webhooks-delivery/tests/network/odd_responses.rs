//! Responses of odd forms: what curl takes for a success is one.

use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use webhooks_core::FailureKind;

use crate::support::{Server, deliver, engine, failed};

/// Heads and bodies, each with what is odd of it.
fn shapes() -> Vec<(&'static str, String)> {
    let with = |headers: &str| format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: 2\r\n\r\nok");
    let many = |n: usize, line: &str| with(&line.repeat(n));
    vec![
        ("nothing", with("")),
        ("101 headers", many(101, "X-A: 1\r\n")),
        ("151 headers", many(151, "X-Header: 1\r\n")),
        ("1,000 headers", many(1_000, "X-A: 1\r\n")),
        ("2,000 headers", many(2_000, "a:\r\n")),
        ("one header of 30 KiB", with(&format!("X-A: {}\r\n", "v".repeat(30_000)))),
        ("a folded header", with("X-A: one\r\n two\r\n")),
        ("a header folded by a tab", with("X-A: one\r\n\ttwo\r\n")),
        ("a header folded twice", with("X-A: one\r\n  two\r\n   three\r\n")),
        ("a header folded to nothing", with("X-A: one\r\n \r\n")),
        ("a space before a colon", with("X-A : 1\r\n")),
        ("a tab before a colon", with("X-A\t: 1\r\n")),
        ("spaces before a colon", with("X-A   : 1\r\n")),
        ("a space before the colon of the length", "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok".into()),
        ("a name with brackets", with("X[0]: 1\r\n")),
        ("a name with a space", with("X A: 1\r\n")),
        ("a name with a slash", with("X/A: 1\r\n")),
        ("a name in parentheses", with("(x): 1\r\n")),
        ("a name with letters of Latin 1", with("Gr\u{fc}n: 1\r\n")),
        ("no name", with(": x\r\n")),
        ("no name and no space", with(":x\r\n")),
        ("no colon", with("garbage\r\n")),
        ("no value", with("X-A:\r\n")),
        ("no space before the value", with("X-A:1\r\n")),
        ("many spaces around the value", with("X-A:     1    \r\n")),
        ("a value of UTF-8", with("X-A: gr\u{fc}n \u{1f511}\r\n")),
        ("a value with a control character", with("X-A: a\u{1}b\r\n")),
        ("a value with an escape", with("X-A: \u{1b}[31mred\r\n")),
        ("a value with DEL", with("X-A: a\u{7f}\r\n")),
        ("a header twice", with("X-A: 1\r\nX-A: 2\r\n")),
        ("the same length twice", with("Content-Length: 2\r\n")),
        ("no reason", "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok".into()),
        ("an empty reason", "HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok".into()),
        ("a long reason", format!("HTTP/1.1 200 {}\r\nContent-Length: 2\r\n\r\nok", "y".repeat(5_000))),
        ("a reason of UTF-8", "HTTP/1.1 200 gr\u{fc}n\r\nContent-Length: 2\r\n\r\nok".into()),
        ("HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok".into()),
        ("HTTP/1.0 that is kept", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok".into()),
        ("lines without carriage returns", "HTTP/1.1 200 OK\nX-A: 1\nContent-Length: 2\n\nok".into()),
        ("lines of both kinds", "HTTP/1.1 200 OK\r\nX-A: 1\nContent-Length: 2\r\n\nok".into()),
        ("no length", "HTTP/1.1 200 OK\r\n\r\nok".into()),
        ("no headers and no body", "HTTP/1.1 200 OK\r\n\r\n".into()),
        ("a length of 204", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n".into()),
        ("a body of 204", "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok".into()),
        ("a 205", "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n".into()),
        ("an unknown 2xx", "HTTP/1.1 299 Hm\r\nContent-Length: 0\r\n\r\n".into()),
        ("a 100 first", format!("HTTP/1.1 100 Continue\r\n\r\n{}", with(""))),
        ("a 103 with many headers first", format!("HTTP/1.1 103 Early Hints\r\n{}\r\n{}", "Link: <a>\r\n".repeat(200), with(""))),
        ("chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n".into()),
        ("chunks in capitals", "HTTP/1.1 200 OK\r\nTRANSFER-ENCODING: Chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n".into()),
        ("chunks with extensions", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nok\r\n0\r\n\r\n".into()),
        ("chunks with trailers", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-A: 1\r\n\r\n".into()),
        ("chunks and a length", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n2\r\nok\r\n0\r\n\r\n".into()),
        ("an encoding that is not so", with("Content-Encoding: gzip\r\n")),
        ("an unknown connection option", with("Connection: upgrade, hm\r\n")),
        ("a broken date", with("Date: yesterday\r\n")),
        ("a cookie with brackets", with("Set-Cookie: a[0]=1; Path=/\r\n")),
    ]
}

async fn responding(response: String) -> Server {
    Server::start("127.0.0.1", move |mut peer| {
        let response = response.clone();
        async move {
            peer.request().await?;
            peer.stream.write_all(response.as_bytes()).await?;
            peer.stream.shutdown().await
        }
    })
    .await
}

/// Whether curl, which posts the same, sees a success.
async fn curl_takes(url: &str) -> bool {
    let curl = tokio::process::Command::new("curl")
        .args(["--silent", "--max-time", "10", "--noproxy", "*"])
        .args(["--header", "Expect:", "--data", "{}"])
        .args(["--output", "/dev/null", "--write-out", "%{http_code}", url])
        .stderr(Stdio::null())
        .output()
        .await;
    let curl = curl.expect("curl is there: `cargo xtask test` installs it");
    curl.status.success() && curl.stdout.first() == Some(&b'2')
}

#[tokio::test]
async fn what_curl_takes_for_a_success_is_delivered() {
    let engine = engine();
    let mut taken = 0;
    for (oddity, response) in shapes() {
        let server = responding(response).await;
        if curl_takes(&server.url()).await {
            taken += 1;
            let result = deliver(&engine, &server.url()).await;
            assert!(result.is_delivered(), "{oddity}: {result:?}");
        }
    }
    assert!(taken > 45, "curl takes nearly all of them, not {taken}");
}

#[tokio::test]
async fn a_head_is_bounded_in_headers_and_in_bytes() {
    for headers in [
        "a:\r\n".repeat(2_100),
        format!("a: {}\r\n", "b".repeat(1 << 20)),
    ] {
        let server = responding(format!("HTTP/1.1 200 OK\r\n{headers}\r\n")).await;
        let result = deliver(&engine(), &server.url()).await;
        failed(&result, FailureKind::MalformedResponse);
    }
}

#[tokio::test]
async fn a_connection_is_not_used_again_after_an_odd_response() {
    for (header, connections) in [
        ("X-A: 1", 1),
        ("X-A : 1", 2),
        ("X[0]: 1", 2),
        ("A: 1\r\n b", 2),
    ] {
        let response = format!("HTTP/1.1 200 OK\r\n{header}\r\nContent-Length: 2\r\n\r\nok");
        let server = Server::start("127.0.0.1", move |mut peer| {
            let response = response.clone();
            async move {
                loop {
                    peer.request().await?;
                    peer.stream.write_all(response.as_bytes()).await?;
                }
            }
        })
        .await;
        let engine = engine();
        for _ in 0..2 {
            assert!(deliver(&engine, &server.url()).await.is_delivered());
        }
        let made = server.connections.load(std::sync::atomic::Ordering::SeqCst);
        assert_eq!(made, connections, "after {header:?}");
    }
}
