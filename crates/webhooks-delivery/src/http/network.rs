//! The network guard: what may be dialled, and the dialling.
//!
//! Promises:
//!
//! - A URL is judged as raw text, and its part before the path parsed once; what that says is what
//!   requests use, and the rest is sent as it was given.
//! - Every new connection resolves its name, judges every address of the answer, and dials only
//!   addresses that it judged. An IP literal passes the same judgement.
//! - The metadata addresses of clouds are refused whatever a policy opens, also where an IPv6
//!   address carries them.
//! - A refusal names its rule, and never what an internal name resolved to.

mod address_rules;
mod connect_failure;
mod connector;
mod dial;
mod head_form;
mod http_tunnel;
mod judged_url;
mod link;
mod lookup_shares;
mod name_rules;
mod policy;
mod port_rules;
mod proxy;
mod proxy_config;
mod refusal;
mod resolver;
mod shortage;
mod socks;
mod target;
mod tunnel;
mod untried;
pub(crate) mod url_rules;
mod wire;

pub(crate) use self::connect_failure::ConnectFailure;
pub(crate) use self::connector::Connector;
pub(crate) use self::judged_url::JudgedUrl;
pub(crate) use self::link::{Allowance, Link, ResponseTooLong};
pub use self::policy::NetworkPolicy;
pub(crate) use self::proxy::Proxy;
pub use self::proxy_config::ProxyConfig;
pub(crate) use self::refusal::Refusal;
pub use self::resolver::{Resolve, SystemResolver};
pub(crate) use self::target::Target;
pub(crate) use self::tunnel::Destination;
pub(crate) use self::untried::Untried;
pub(crate) use self::wire::Wire;
