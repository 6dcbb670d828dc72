//! Why the guard said no.
//!
//! It is shown to whoever registers endpoints, who may be a customer: so it names the rule and what
//! stands in the URL, never what a name resolved to or which names are known inside.

use std::borrow::Cow;
use std::fmt;

use webhooks_core::WebhookError;

/// The rule that refuses a URL, as a text for who registered it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal(Cow<'static, str>);

impl Refusal {
    pub(crate) fn new(rule: impl Into<Cow<'static, str>>) -> Self {
        Self(rule.into())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Refusal> for WebhookError {
    fn from(refusal: Refusal) -> Self {
        Self::InvalidEndpoint(format!("url is refused: {refusal}").into())
    }
}
