//! What the end-to-end tests share: a real HTTP receiver that answers by a script.

mod receiver;
mod sink;

pub use self::receiver::{Answer, Received, Receiver};
pub use self::sink::Sink;
