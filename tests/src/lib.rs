//! What the end-to-end tests share: a real HTTP receiver that responds by a script, and
//! a transport that does without a network.

mod http_client;
mod receiver;
mod scripted_transport;

pub use self::http_client::http_client;
pub use self::receiver::{Received, Receiver, Response};
pub use self::scripted_transport::{Call, Reply, ScriptedTransport};
