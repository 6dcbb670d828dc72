//! Makes the body and the signature of one request: `cargo run -p webhooks-core --example sign`.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::SystemTime;

use webhooks_core::{
    EventId, EventType, Result, SIGNATURE_HEADER, SigningKey, Timestamp, envelope, signature_header,
};

fn main() -> Result<()> {
    #[expect(clippy::disallowed_methods, reason = "this program is its own clock")]
    let now = Timestamp::from(SystemTime::now());
    let event_type = EventType::new("user.created")?;
    let body = envelope(EventId::new(now), &event_type, now, "data", 1_024)?;

    let key = SigningKey::new(b"webhook_secret");
    let signature = signature_header([&key], now.as_secs(), &body);
    println!("{SIGNATURE_HEADER}: {signature}");
    println!("{}", String::from_utf8_lossy(&body));
    Ok(())
}
