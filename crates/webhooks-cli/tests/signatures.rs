//! Signatures from the command line, as processes.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed expectation here is a failed test"
)]

mod support;

use std::process::Stdio;

use support::{Place, Said, said};
use webhooks_tests::Receiver;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const AT: &str = "2026-05-01T12:00:00Z";

/// Signs a body, and writes what a receiver would have captured.
async fn capture(place: &Place, arguments: &[&str], body: &str) -> String {
    place.write("body", body);
    let sign = ["sign", "--secret", SECRET, "--at", AT, "@body"];
    let headers = place.run(&[&sign[..], arguments].concat()).await.well().out;
    let request = format!("POST /hooks HTTP/1.1\r\nhost: a\r\n{headers}\r\n{body}");
    place.write("request", &request);
    request
}

async fn verify(place: &Place, arguments: &[&str]) -> Said {
    let verify = ["verify", "--request", "request"];
    let mut command = place.command();
    command.args(verify).args(arguments);
    said(command.env("WEBHOOKS_SECRET", SECRET)).await
}

#[tokio::test]
async fn what_is_signed_is_verified_in_either_scheme() {
    let place = Place::new();
    for scheme in ["standard", "timestamped"] {
        capture(&place, &["--scheme", scheme], "{\"a\": 1}\n").await;
        let told = verify(&place, &["--at", AT, "--json"]).await.well().json();
        assert_eq!(told["scheme"], scheme);
        assert_eq!(told["signed_at"], "2026-05-01T12:00:00.000Z");
        let late = verify(&place, &["--at", "2026-05-01T12:05:01Z"]).await;
        late.fails(1, "(timestamp_too_old)").says("301 s ago");
        let early = verify(&place, &["--at", "2026-05-01T11:50:00Z"]).await;
        early.fails(1, "(timestamp_in_future)").says("600 s ahead");
        let patient = ["--at", "2026-05-01T12:05:01Z", "--tolerance", "10m"];
        verify(&place, &patient).await.well();
    }
}

#[tokio::test]
async fn what_is_wrong_is_told_and_nothing_that_would_be_right() {
    let place = Place::new();
    let request = capture(&place, &["--id", "msg_1"], "{}").await;
    let signature = request
        .lines()
        .find(|line| line.starts_with("webhook-signature"));
    let signature = signature.unwrap().split(' ').nth(1).unwrap().to_owned();
    place.write("request", &request.replace("{}", "{ }"));
    let changed = verify(&place, &["--at", AT]).await;
    let changed = changed.fails(1, "(signature_mismatch); standard, 20 bytes are signed");
    for hidden in [SECRET, &SECRET[6..], &signature] {
        assert!(!changed.err.contains(hidden), "{changed:?}");
    }
    let without = request.replace("webhook-timestamp", "x-other");
    place.write("request", &without);
    verify(&place, &["--at", AT])
        .await
        .fails(1, "(missing_header)");
    place.write("request", "webhook-id: 1\r\nno header\r\n\r\n");
    verify(&place, &[]).await.fails(2, "line 2 is no header");
    place.write("request", "webhook-id: 1");
    verify(&place, &[]).await.fails(2, "no empty line");
    let nobody = place.run(&["verify", "--request", "request"]).await;
    nobody.fails(2, "a secret is needed");
    let short = ["sign", "--secret", "whsec_AAAA", "{}"];
    place.run(&short).await.fails(2, "it needs at least 24");
}

#[tokio::test]
async fn a_key_pair_signs_and_its_public_key_verifies() {
    let place = Place::new();
    let pair = ["keys", "endpoint-secret", "--ed25519", "--json"];
    let pair = place.run(&pair).await.well().json();
    place.write("secret", pair["secret"].as_str().unwrap());
    place.write("body", "{}");
    let sign = ["sign", "--secret-file", "secret", "@body"];
    let headers = place.run(&sign).await.well().out;
    place.write("headers", &headers);
    let public = pair["public_key"].as_str().unwrap();
    let verify = [
        "verify",
        "--headers",
        "headers",
        "--body",
        "body",
        "--secret",
        public,
    ];
    place.run(&verify).await.well();
}

#[tokio::test]
async fn a_shell_posts_what_was_signed() {
    let (place, receiver) = (Place::new(), Receiver::responding(200).await);
    let body = r#"{"it's": "$HOME `x` \\ \"y\""}"#;
    let url = format!("{}?a='b'", receiver.url());
    for body_argument in [body, "@body"] {
        place.write("body", body);
        let sign = ["sign", "--secret", SECRET, "--curl", &url, body_argument];
        let line = place.run(&sign).await.well().out;
        let mut shell = tokio::process::Command::new("sh");
        shell.arg("-c").arg(format!("{} --silent", line.trim_end()));
        shell.current_dir(place.path()).stdin(Stdio::null());
        let output = shell.output().await.unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    receiver.wait_for(2).await;
    let verifier = better_auth_webhooks::WebhookReceiver::new(SECRET);
    for received in receiver.received() {
        assert_eq!(received.body, body.as_bytes());
        verifier.verify(&received.headers, &received.body).unwrap();
    }
}
