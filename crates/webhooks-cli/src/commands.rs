//! The commands that speak the API, one file for each kind of thing.

mod endpoints;
mod info;
mod keys;
mod send;

pub(crate) use self::endpoints::Endpoints;
pub(crate) use self::info::Info;
pub(crate) use self::keys::Keys;
pub(crate) use self::send::Send;
