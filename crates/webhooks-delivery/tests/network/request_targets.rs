//! A request asks for what the URL says, to the byte.

use std::process::Stdio;

use webhooks_delivery::NetworkPolicy;

use crate::support::{Server, deliver, engine, header};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// What follows the port of a URL, and stands in a request line as it is.
const AS_GIVEN: &[&str] = &[
    "/",
    "/hook",
    "/hook/",
    "/a/b/c",
    "//",
    "//a//b",
    "/a//../b",
    "/.",
    "/..",
    "/./a",
    "/a/.",
    "/a/./b",
    "/a/..",
    "/a/../b",
    "/../../etc",
    "/a/...",
    "/%2e",
    "/%2e%2e/a",
    "/a/%2E%2e/b",
    "/a/.%2e/b",
    "/a%2fb",
    "/a%2Fb",
    "/%41%7e",
    "/%",
    "/%zz",
    "/%4",
    "/100%/a",
    "/a;b=c",
    "/a,b",
    "/a=b",
    "/a@b",
    "/a:b",
    "/a:443",
    "/http://other.example/",
    "/!$&'()*+,;=:@",
    "/-._~",
    "/{}",
    "/{id}/x",
    "/a|b",
    "/a^b",
    "/[0]",
    "/*",
    "/a+b",
    "/A/b/C",
    "/?",
    "/?a",
    "/?a=b&c=d",
    "/?a=b;c=d",
    "/?a='b'",
    "/?name=o'neill",
    "/?'",
    "/?a[]=1&a[]=2",
    "/?a={b}",
    "/?a=b|c",
    "/?a=b^c",
    "/?a=b?c",
    "/?a=/b/../c",
    "/?a=%27",
    "/?a=%e4",
    "/?a=%",
    "/?!$&'()*+,;=:@/?",
    "/?-._~",
    "/?a=b+c",
    "/?a==b&&c",
    "/hook?url=https://other.example/?x=1",
];

/// What the request line asks for.
fn asked(server: &Server) -> String {
    let request = server.requests().remove(0);
    let line = request.lines().next().unwrap();
    let target = line.strip_prefix("POST ").unwrap();
    target.strip_suffix(" HTTP/1.1").unwrap().to_owned()
}

/// What we ask for under this URL of the server.
async fn we_ask(rest: &str) -> String {
    let server = Server::responding(OK).await;
    let url = format!("http://{}{rest}", server.address);
    assert!(deliver(&engine(), &url).await.is_delivered(), "{url}");
    let host = server.address.to_string();
    let request = server.requests().remove(0);
    assert_eq!(header(&request, "host"), Some(host.as_str()), "{url}");
    asked(&server)
}

/// What curl asks for, which takes the path as it is.
async fn curl_asks(rest: &str) -> String {
    let server = Server::responding(OK).await;
    let url = format!("http://{}{rest}", server.address);
    let curl = tokio::process::Command::new("curl")
        .args(["--silent", "--max-time", "10", "--noproxy", "*"])
        .args(["--path-as-is", "--globoff", "--header", "Expect:"])
        .args(["--data", "{}", &url])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .await;
    let curl = curl.expect("curl is there: `cargo xtask test` installs it");
    assert!(curl.success(), "{url}");
    asked(&server)
}

#[tokio::test]
async fn what_can_stand_in_a_request_line_is_sent_as_it_was_given() {
    for rest in AS_GIVEN {
        assert_eq!(we_ask(rest).await, *rest);
        assert_eq!(curl_asks(rest).await, *rest);
    }
}

#[tokio::test]
async fn only_an_empty_path_gets_a_slash() {
    for (rest, sent) in [
        ("", "/"),
        ("?", "/?"),
        ("?a='b'", "/?a='b'"),
        ("?/../a", "/?/../a"),
    ] {
        assert_eq!(we_ask(rest).await, sent);
        assert_eq!(curl_asks(rest).await, sent);
    }
}

#[tokio::test]
async fn what_cannot_stand_there_is_encoded() {
    for (rest, sent) in [
        ("/grün", "/gr%C3%BCn"),
        ("/?q=日本", "/?q=%E6%97%A5%E6%9C%AC"),
        ("/🔑'{}", "/%F0%9F%94%91'{}"),
        ("/\u{feff}\u{200b}", "/%EF%BB%BF%E2%80%8B"),
        ("/a\"b<c>d`e", "/a%22b%3Cc%3Ed%60e"),
        ("/?a\"b<c>d`e", "/?a%22b%3Cc%3Ed%60e"),
        // A slash and a dot to some eyes only.
        ("/a／．．／b", "/a%EF%BC%8F%EF%BC%8E%EF%BC%8E%EF%BC%8Fb"),
    ] {
        assert_eq!(we_ask(rest).await, sent);
    }
}

#[test]
fn what_means_something_else_to_other_parsers_is_refused() {
    let policy = NetworkPolicy::permissive();
    for rest in [
        "/a b",
        "/a\tb",
        "/a\r\nX: y",
        "/a\n",
        "/\u{0}",
        "/a\u{7f}",
        "/a\u{a0}b",
        "/a\\b",
        "\\a",
        "/#",
        "/a#b",
        "?a#b",
        "#",
        "/\u{85}",
        "/\u{2028}",
        " ",
        "/a ",
    ] {
        for host in ["hooks.example.com", "127.0.0.1:8080"] {
            let url = format!("http://{host}{rest}");
            assert!(policy.check_url(&url).is_err(), "{url:?}");
        }
    }
}

/// What follows the host has no part in the verdict over the host.
#[test]
fn no_path_changes_where_a_request_goes() {
    let policy = NetworkPolicy::default();
    for rest in AS_GIVEN
        .iter()
        .chain(&["", "?a", "/@10.0.0.1/", "?@10.0.0.1", "/:80"])
    {
        let open = format!("https://hooks.example.com{rest}");
        assert!(policy.check_url(&open).is_ok(), "{open}");
        for host in [
            "10.0.0.1",
            "[::1]",
            "localhost",
            "0x7f.1",
            "a.internal",
            "a.example:22",
        ] {
            let closed = format!("https://{host}{rest}");
            assert!(policy.check_url(&closed).is_err(), "{closed}");
        }
    }
}
