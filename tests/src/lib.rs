//! What the end-to-end tests share: a real HTTP receiver that answers by a script.

mod receiver;

pub use self::receiver::{Answer, Received, Receiver};
