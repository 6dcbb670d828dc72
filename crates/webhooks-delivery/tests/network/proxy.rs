//! Requests go through the operator's proxy, to judged addresses.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use webhooks_core::{DeliveryResult, FailureKind, Transport, WebhookError};
use webhooks_delivery::{NetworkPolicy, ProxyConfig};

use crate::support::{Scripted, Server, builder, deliver, delivery, failed, header};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// A proxy that responds to `CONNECT` with `response`, and then plays the target itself.
async fn proxy(response: &'static [u8]) -> Server {
    Server::start("127.0.0.1", move |mut peer| async move {
        peer.request().await?;
        peer.stream.write_all(response).await?;
        peer.respond_to_all(OK).await
    })
    .await
}

#[tokio::test]
async fn the_proxy_is_asked_for_the_judged_address_also_for_http() {
    let proxy = proxy(b"HTTP/1.1 200 Connection established\r\n\r\n").await;
    let engine = builder()
        .network_policy(NetworkPolicy::default().allow_http())
        .resolver(Scripted::new(&[&["10.0.0.1", "93.184.216.34"]]))
        .proxy(format!("http://{}", proxy.address))
        .unwrap()
        .build()
        .unwrap();
    for _ in 0..2 {
        let result = deliver(&engine, "http://hooks.example.com/in").await;
        assert!(result.is_delivered(), "{result:?}");
    }
    let requests = proxy.requests();
    assert!(requests[0].starts_with("CONNECT 93.184.216.34:80 HTTP/1.1\r\n"));
    assert!(requests[1].starts_with("POST /in HTTP/1.1\r\n"));
    assert_eq!((requests.len(), proxy.connections()), (3, 1));
}

#[tokio::test]
async fn a_refused_address_is_not_asked_for_and_a_refusing_proxy_is_a_failed_connection() {
    let proxy = proxy(b"HTTP/1.1 403 Forbidden\r\n\r\n").await;
    let through = |ip| {
        builder()
            .network_policy(NetworkPolicy::default().allow_http())
            .resolver(Scripted::new(&[&[ip]]))
            .proxy(format!("http://{}", proxy.address))
            .unwrap()
            .build()
            .unwrap()
    };
    let url = "http://hooks.example.com/in";
    failed(
        &deliver(&through("10.0.0.1"), url).await,
        FailureKind::AddressRefused,
    );
    assert_eq!(proxy.connections(), 0);
    failed(
        &deliver(&through("93.184.216.34"), url).await,
        FailureKind::Connect,
    );
}

/// What came of a request through a proxy that is spoken to by this URL.
async fn through(proxy: impl Into<ProxyConfig>, url: &str) -> Result<DeliveryResult, WebhookError> {
    let engine = builder()
        .network_policy(NetworkPolicy::default().allow_http())
        .resolver(Scripted::new(&[&["93.184.216.34"]]))
        .timeout(Duration::from_secs(4))
        .proxy(proxy)
        .unwrap()
        .build()
        .unwrap();
    engine.deliver(&delivery(url)).await
}

const URL: &str = "http://hooks.example.com/in";

fn is_not_tried(result: Result<DeliveryResult, WebhookError>, why: &str) {
    let error = result.unwrap_err();
    assert!(
        error.is_transient() && !error.outcome_unknown(),
        "{error:?}"
    );
    assert!(error.to_string().contains(why), "{error} is not: {why}");
    assert!(!format!("{error:?} {error}").contains("hunter2"));
}

#[tokio::test]
async fn a_proxy_that_does_not_do_its_part_is_no_failure_of_the_endpoint() {
    for (response, why) in [
        (
            "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
            "credentials",
        ),
        ("HTTP/1.1 401 Unauthorized\r\n\r\n", "credentials"),
        ("HTTP/1.1 405 Method Not Allowed\r\n\r\n", "does not tunnel"),
        ("HTTP/1.1 501 Not Implemented\r\n\r\n", "does not tunnel"),
        ("HTTP/1.1 400 Bad Request\r\n\r\n", "CONNECT"),
        ("HTTP/1.1 429 Too Many Requests\r\n\r\n", "too often"),
        ("SSH-2.0-OpenSSH_9.2\r\n\r\n", "does not speak HTTP"),
        ("HTTP/1.1 2\r\n\r\n", "does not speak HTTP"),
        ("\r\n\r\n", "does not speak HTTP"),
        ("HTTP/1.1 200 OK\r\n", "broke off"),
        ("", "broke off"),
    ] {
        let proxy = Server::responding(response).await;
        let url = format!("http://egress:hunter2@{}", proxy.address);
        is_not_tried(through(url, URL).await, why);
    }
    let head = format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "b".repeat(10_000));
    let proxy = Server::responding(head).await;
    let url = format!("http://{}", proxy.address);
    is_not_tried(through(url, URL).await, "too long a head");
    is_not_tried(
        through("http://127.0.0.1:1", URL).await,
        "cannot be reached",
    );
    is_not_tried(
        through("socks5://127.0.0.1:1", URL).await,
        "cannot be reached",
    );
    let plain = Server::start("127.0.0.1", |mut peer| async move {
        peer.stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .await
    })
    .await;
    let url = format!("https://{}", plain.address);
    is_not_tried(through(url, URL).await, "under TLS");
}

#[tokio::test]
async fn a_proxy_that_does_not_reach_the_endpoint_is_a_failed_connection() {
    for status in [
        "403 Forbidden",
        "404 No",
        "500 Unable",
        "502 Bad",
        "503 No",
        "504 Time",
    ] {
        let proxy = Server::responding(format!("HTTP/1.1 {status}\r\n\r\n")).await;
        let result = through(format!("http://{}", proxy.address), URL).await;
        failed(&result.unwrap(), FailureKind::Connect);
    }
    for reply in [1_u8, 2, 3, 4, 5, 6, 8] {
        let proxy = socks(&[5, 0], &[5, reply, 0, 1, 0, 0, 0, 0, 0, 0]).await;
        let result = through(format!("socks5://{}", proxy.address), URL).await;
        failed(&result.unwrap(), FailureKind::Connect);
    }
}

#[tokio::test]
async fn a_proxy_that_hangs_before_it_is_asked_is_no_failure_of_the_endpoint() {
    let hangs = || {
        Server::start("127.0.0.1", |mut peer| async move {
            peer.wait_for_close().await;
            Ok(())
        })
    };
    let proxy = hangs().await;
    is_not_tried(
        through(format!("socks5://{}", proxy.address), URL).await,
        "in time",
    );
    is_not_tried(
        through(format!("https://{}", proxy.address), URL).await,
        "in time",
    );
    let result = through(format!("http://{}", proxy.address), URL).await;
    failed(&result.unwrap(), FailureKind::Timeout);
}

/// A SOCKS5 proxy without login, which answers and then plays the target itself.
async fn socks(hello: &[u8], reply: &[u8]) -> Server {
    let (hello, reply) = (hello.to_vec(), reply.to_vec());
    Server::start("127.0.0.1", move |mut peer| {
        let (hello, reply) = (hello.clone(), reply.clone());
        async move {
            let mut greeting = [0; 2];
            peer.stream.read_exact(&mut greeting).await?;
            peer.stream
                .read_exact(&mut vec![0; greeting[1].into()])
                .await?;
            peer.stream.write_all(&hello).await?;
            let mut request = [0; 4];
            peer.stream.read_exact(&mut request).await?;
            let length = match request[3] {
                1 => 4,
                3 => usize::from(peer.stream.read_u8().await?),
                _ => 16,
            };
            let mut asked = vec![0; length + 2];
            peer.stream.read_exact(&mut asked).await?;
            peer.log(format!(
                "{request:?} {}",
                String::from_utf8_lossy(&asked[..length])
            ));
            peer.stream.write_all(&reply).await?;
            peer.respond_to_all(OK).await
        }
    })
    .await
}

#[tokio::test]
async fn a_socks_proxy_is_read_to_the_byte_whatever_address_it_answers_with() {
    const REPLIES: [&[u8]; 3] = [
        &[5, 0, 0, 1, 1, 2, 3, 4, 0, 80],
        &[5, 0, 0, 3, 4, b'a', b'.', b'd', b'e', 0, 80],
        &[
            5, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 80,
        ],
    ];
    for reply in REPLIES {
        let proxy = socks(&[5, 0], reply).await;
        let url = format!("socks5h://{}", proxy.address);
        assert!(through(url, URL).await.unwrap().is_delivered());
        assert!(
            proxy.requests()[0].ends_with("hooks.example.com"),
            "by name"
        );
        let proxy = socks(&[5, 0], reply).await;
        let url = format!("socks5://{}", proxy.address);
        assert!(through(url, URL).await.unwrap().is_delivered());
        assert!(
            proxy.requests()[0].starts_with("[5, 1, 0, 1]"),
            "by address"
        );
    }
    for (hello, reply, why) in [
        (&[5, 255][..], &[][..], "credentials"),
        (&[5, 2], &[], "credentials"),
        (&[4, 0], &[], "SOCKS5"),
        (b"HTTP/1.1 400", &[], "SOCKS5"),
        (&[5, 0], &[5, 7, 0, 1, 0, 0, 0, 0, 0, 0], "does not tunnel"),
        (&[5, 0], &[9, 0, 0, 1, 0, 0, 0, 0, 0, 0], "SOCKS5"),
        (&[5, 0], &[5, 0, 0, 9, 0, 0, 0, 0, 0, 0], "SOCKS5"),
    ] {
        let proxy = socks(hello, reply).await;
        is_not_tried(
            through(format!("socks5://{}", proxy.address), URL).await,
            why,
        );
    }
}

#[tokio::test]
async fn a_proxy_that_resolves_names_gets_them_and_the_guard_judges_what_it_can() {
    let proxy = proxy(b"HTTP/1.1 200 Connection established\r\n\r\n").await;
    let config = || ProxyConfig::new(format!("http://e%40x:hunter2%2F@{}", proxy.address));
    let names = Scripted::new(&[&["10.0.0.1"]]);
    let engine = builder()
        .network_policy(NetworkPolicy::default().allow_http())
        .resolver(names.clone())
        .proxy(config().resolves_names())
        .unwrap()
        .build()
        .unwrap();
    for (url, kind) in [
        ("http://localhost/", FailureKind::UrlRefused),
        ("http://db.internal/", FailureKind::UrlRefused),
        ("http://hooks.example.com:22/", FailureKind::UrlRefused),
        ("http://10.0.0.1/", FailureKind::UrlRefused),
        ("http://169.254.169.254/", FailureKind::UrlRefused),
        ("http://[::1]/", FailureKind::UrlRefused),
    ] {
        failed(&deliver(&engine, url).await, kind);
        engine.forget("endpoint_1");
    }
    assert_eq!(proxy.connections(), 0);
    assert!(
        deliver(&engine, "http://Hooks.Example.com./in")
            .await
            .is_delivered()
    );
    let request = &proxy.requests()[0];
    assert!(
        request.starts_with("CONNECT hooks.example.com:80 HTTP/1.1\r\n"),
        "{request}"
    );
    let login = header(request, "proxy-authorization");
    assert_eq!(login, Some("Basic ZUB4Omh1bnRlcjIv"), "e@x:hunter2/");
    assert_eq!(header(&proxy.requests()[1], "proxy-authorization"), None);
    assert_eq!(names.asked.load(std::sync::atomic::Ordering::SeqCst), 0);
    assert!(!format!("{:?} {engine:?}", config()).contains("hunter2"));
}

#[test]
fn a_proxy_is_named_by_its_url_and_a_bad_one_is_not_repeated() {
    for bad in [
        "http://p/x?hunter2",
        "http://p/hunter2",
        "http://p#hunter2",
        "ftp://u:hunter2@p:1",
        "http://u:hunter2@",
        "socks5://",
        "socks4://u:hunter2@p",
        "http://u%3A:hunter2@p:1",
        "http://u:hunter2%0A@p:1",
        "http://u:hunter2%zz@p:1",
        "hunter2:1",
        "p:1",
        "",
    ] {
        let error = builder().proxy(bad).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{bad}");
        assert!(
            !format!("{:?}", ProxyConfig::new(bad)).contains("hunter2"),
            "{bad}"
        );
    }
    let long = format!("socks5://{}:p@p", "u".repeat(256));
    assert!(builder().proxy(&long).is_err());
    for good in [
        "http://proxy.internal:3128",
        "http://proxy.internal:3128/",
        "https://u:hunter2@proxy.internal",
        "http://u@[::1]:3128",
        "socks5://u:hunter2@10.0.0.1",
        "socks5h://[::1]:1080",
        "http://:hunter2@p:1",
    ] {
        assert!(builder().proxy(good).is_ok(), "{good}");
        assert!(
            !format!("{:?}", ProxyConfig::new(good)).contains("hunter2"),
            "{good}"
        );
    }
}
