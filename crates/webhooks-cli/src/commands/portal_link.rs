//! `webhooks portal-link`: lets a customer in.

use std::time::Duration;

use clap::Args;
use serde_json::{Map, Value};

use crate::client::Request;
use crate::duration;
use crate::failure::Failure;
use crate::output::Column;
use crate::session::Session;

/// What is shown of a link.
const LINK: &[Column] = &[
    Column::new("URL", "/url"),
    Column::new("EXPIRES AT", "/expires_at"),
];

/// A link with which somebody of a tenant opens its pages, once.
#[derive(Debug, Args)]
pub(crate) struct PortalLink {
    /// The tenant whose pages it opens.
    tenant: String,
    /// What can be done there: `view`, `payloads`, `manage_endpoints`, `manage_secrets`, `replay`, `test`. Can
    /// be given several times.
    #[arg(
        long = "capability",
        value_name = "NAME",
        value_delimiter = ',',
        default_value = "view"
    )]
    capabilities: Vec<String>,
    /// Until when the link must be opened.
    #[arg(long, value_parser = duration::read, value_name = "TIME")]
    expires: Option<Duration>,
    /// How long who has opened it stays there.
    #[arg(long, value_parser = duration::read, value_name = "TIME")]
    session: Option<Duration>,
    /// Where the pages lead back to.
    #[arg(long, value_name = "URL")]
    return_url: Option<String>,
}

impl PortalLink {
    /// Makes one, and shows it.
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let mut body = Map::new();
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                body.insert(name.to_owned(), value);
            }
        };
        let seconds = |of: Duration| of.as_secs().into();
        set("capabilities", Some(self.capabilities.into()));
        set("expires_in_seconds", self.expires.map(seconds));
        set("session_seconds", self.session.map(seconds));
        set("return_url", self.return_url.map(Into::into));
        let request = Request::post(["tenants", &self.tenant, "portal-links"]);
        session.show(request.json(&body)?, LINK).await
    }
}
