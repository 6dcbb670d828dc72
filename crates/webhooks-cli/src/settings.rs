//! What counts: flags, then the environment, then a file, then defaults.

mod file;
mod global;
mod key;
mod target;

pub(crate) use self::file::File;
pub(crate) use self::global::{ColorChoice, GlobalArgs, Network};
pub(crate) use self::target::Target;
