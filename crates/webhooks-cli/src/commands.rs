//! The commands that speak the API, one file for each kind of thing.
//!
//! Each makes requests of its arguments and names what is shown of the answers; [`endpoints`] is the model.

mod endpoints;
mod event_types;
mod info;
mod keys;
mod portal_link;
mod send;

pub(crate) use self::endpoints::Endpoints;
pub(crate) use self::event_types::EventTypes;
pub(crate) use self::info::Info;
pub(crate) use self::keys::Keys;
pub(crate) use self::portal_link::PortalLink;
pub(crate) use self::send::Send;
