//! Signatures without a server: `webhooks verify` and `webhooks sign`.
//!
//! Both work on what was captured or is about to be sent by hand. Neither writes a secret or the signature
//! that it expected anywhere: who has only the request must not learn from a tool how to sign.

mod request_file;
mod secrets;
mod sign;
mod verify;

pub(crate) use self::secrets::SecretArgs;
pub(crate) use self::sign::Sign;
pub(crate) use self::verify::Verify;
