//! Where events go.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use crate::named::named;
use crate::{BatchConfig, ContentFilter, OnDead, OrderBy, RateLimitConfig, Timestamp, whole};

/// Where events go, which ones, and how.
///
/// ```
/// use webhooks_core::WebhookEndpoint;
///
/// let endpoint = WebhookEndpoint {
///     id: "billing".into(),
///     url: "https://example.com/hook".into(),
///     secret: "a secret of this endpoint alone".into(),
///     events: vec!["invoice.*".into()],
///     ..WebhookEndpoint::default()
/// };
/// endpoint.validate()?;
/// assert!(endpoint.accepts(204) && !endpoint.accepts(302));
/// # Ok::<(), webhooks_core::WebhookError>(())
/// ```
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WebhookEndpoint {
    /// Identifies the endpoint: 1 to 256 bytes without spaces and control characters.
    pub id: String,
    /// Where requests go; at most 2,048 bytes, and within the network policy.
    pub url: String,
    /// What signs requests; 1 to 1,024 bytes, none of them zero. Hidden from `Debug`.
    pub secret: String,
    /// Patterns of [`EventFilter`](crate::EventFilter), 1 to 256 of them.
    pub events: Vec<String>,
    /// What has to be in an event besides, when set: it gets those that pass both. At most 16,384
    /// bytes of JSON, 16 levels, 64 operators and 256 values.
    pub filter: Option<ContentFilter>,
    /// Whether new events make deliveries for this endpoint. Defaults to true.
    pub enabled: bool,
    /// The endpoint's own rate limit; `None` means the system's, if it has one.
    pub rate_limit: Option<RateLimitConfig>,
    /// Further headers of its requests, at most 64, with names of at most 256 bytes and values of at
    /// most 4,096 bytes of visible ASCII, spaces and tabs, 32 KiB in all. They may not replace those
    /// that the sender sets, `Host`, or any hop-by-hop or framing header.
    pub headers: HashMap<String, String>,
    /// The `Content-Type` of its requests, a media type of at most 256 bytes; `None` means
    /// `application/json`, which their body is in any case.
    pub content_type: Option<String>,
    /// The `User-Agent` of its requests, 1 to 256 bytes of visible ASCII and spaces; `None` means
    /// `better-auth-webhooks/<version>`.
    pub user_agent: Option<String>,
    /// Statuses that count as accepted besides every 2xx, 300 to 599, at most 32 of them. Not 410,
    /// which says that the endpoint is gone and disables it.
    pub accepted_statuses: Vec<u16>,
    /// The deadline of one attempt in seconds, at most 3,600; 0 means the system's.
    pub timeout_seconds: u64,
    /// Whose endpoint this is. Events sent for this tenant go here, events without one do not;
    /// `None` takes the events of every tenant. 1 to 256 bytes without control characters.
    pub tenant: Option<String>,
    /// Sends several events in one request, when set.
    pub batch: Option<BatchConfig>,
    /// How requests are signed. Defaults to [`SignatureScheme::Timestamped`].
    pub signature: SignatureScheme,
    /// Secrets that still sign besides `secret` while a rotation runs, newest first.
    pub previous_secrets: Vec<PreviousSecret>,
    /// Which of its deliveries go one after another.
    pub ordering: OrderBy,
    /// What becomes of those behind one that is given up.
    pub on_dead: OnDead,
    /// What people call it, at most 1,024 bytes.
    pub description: String,
    /// What a service keeps with it, at most 32 entries: names of 1 to 64 bytes and values of at
    /// most 512 bytes, without zero characters.
    pub metadata: BTreeMap<String, String>,
}

/// How the requests of an endpoint are signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SignatureScheme {
    /// `X-Webhook-Signature: t=..,v1=..`.
    #[default]
    Timestamped,
    /// The headers of Standard Webhooks v1. The secret is `whsec_` and Base64, or, with the feature
    /// `ed25519`, the private key `whsk_` and Base64.
    Standard,
    /// Both.
    Both,
}

impl SignatureScheme {
    /// Whether requests carry `X-Webhook-Signature`.
    #[must_use]
    pub const fn is_timestamped(self) -> bool {
        matches!(self, Self::Timestamped | Self::Both)
    }

    /// Whether requests carry the headers of Standard Webhooks.
    #[must_use]
    pub const fn is_standard(self) -> bool {
        matches!(self, Self::Standard | Self::Both)
    }
}

named!(SignatureScheme, "signature scheme", {
    Timestamped => "timestamped",
    Standard => "standard",
    Both => "both",
});

/// A secret that was replaced and signs until it expires.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviousSecret {
    /// The secret. Hidden from `Debug`.
    pub secret: String,
    /// When it stops signing.
    pub expires_at: Timestamp,
}

impl WebhookEndpoint {
    /// The same with this [`timeout_seconds`](Self::timeout_seconds), in whole seconds, rounded up;
    /// zero means the system's.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout_seconds = whole::seconds(timeout);
        self
    }

    /// Whether this status of a response says that the webhook was accepted.
    #[must_use]
    pub fn accepts(&self, status: u16) -> bool {
        (200..300).contains(&status) || self.accepted_statuses.contains(&status)
    }

    /// The deadline of one attempt, where the system's is this.
    #[must_use]
    pub const fn timeout_or(&self, system: Duration) -> Duration {
        match self.timeout_seconds {
            0 => system,
            seconds => Duration::from_secs(seconds),
        }
    }

    /// The secrets that sign at `now`, newest first.
    pub fn live_secrets(&self, now: Timestamp) -> impl Iterator<Item = &str> {
        let previous = self
            .previous_secrets
            .iter()
            // At `expires_at` itself it signs no more.
            .filter(move |p| p.expires_at > now);
        std::iter::once(self.secret.as_str()).chain(previous.map(|p| p.secret.as_str()))
    }

    /// The public keys of the private ones that sign at `now`, newest first: what the consumer is
    /// given. Empty for an endpoint that signs with shared secrets.
    #[cfg(feature = "ed25519")]
    #[must_use]
    pub fn public_keys(&self, now: Timestamp) -> Vec<crate::Ed25519PublicKey> {
        self.live_secrets(now)
            .filter_map(|secret| crate::Ed25519Key::new(secret).ok())
            .map(|key| key.public_key())
            .collect()
    }

    /// Puts a new secret in the place of the current one, which goes on signing until
    /// `expires_at`. Previous ones that have expired by `now` are wiped.
    ///
    /// Receivers that know only the old secret go on verifying, since requests carry a signature of
    /// each.
    pub fn rotate_secret(&mut self, secret: String, expires_at: Timestamp, now: Timestamp) {
        let secret = std::mem::replace(&mut self.secret, secret);
        self.previous_secrets.retain_mut(|previous| {
            // Wiped before it goes: dropping a text leaves its bytes in memory.
            let is_live = previous.expires_at > now;
            if !is_live {
                previous.secret.zeroize();
            }
            is_live
        });
        self.previous_secrets
            // In front, as the newest of the previous ones.
            .insert(0, PreviousSecret { secret, expires_at });
    }

    /// Whether its credentials are those of another definition: secrets and values of headers.
    #[must_use]
    pub fn has_credentials_of(&self, other: &Self) -> bool {
        self.secret == other.secret
            && self.previous_secrets == other.previous_secrets
            && self.headers == other.headers
    }

    /// Takes the credentials of another definition.
    pub fn take_credentials_of(&mut self, other: &Self) {
        self.wipe();
        self.secret.clone_from(&other.secret);
        self.previous_secrets.clone_from(&other.previous_secrets);
        self.headers.clone_from(&other.headers);
    }

    /// Overwrites the secrets and the values of headers in memory, and leaves them empty. A
    /// [`KeptEndpoint`](crate::KeptEndpoint) does it when it is dropped.
    pub fn wipe(&mut self) {
        self.secret.zeroize();
        for previous in &mut self.previous_secrets {
            previous.secret.zeroize();
        }
        for value in self.headers.values_mut() {
            value.zeroize();
        }
    }

    /// The URL without its query, which may be a credential.
    pub(crate) fn shown_url(&self) -> &str {
        self.url.split(['?', '#']).next().unwrap_or_default()
    }
}

impl Default for WebhookEndpoint {
    fn default() -> Self {
        Self {
            id: String::new(),
            url: String::new(),
            secret: String::new(),
            events: Vec::new(),
            filter: None,
            enabled: true,
            rate_limit: None,
            headers: HashMap::new(),
            content_type: None,
            user_agent: None,
            accepted_statuses: Vec::new(),
            timeout_seconds: 0,
            tenant: None,
            batch: None,
            signature: SignatureScheme::default(),
            previous_secrets: Vec::new(),
            ordering: OrderBy::None,
            on_dead: OnDead::Continue,
            description: String::new(),
            metadata: BTreeMap::new(),
        }
    }
}

impl fmt::Debug for WebhookEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values of headers may be credentials too, and so may the query of a URL.
        let mut names: Vec<_> = self.headers.keys().collect();
        names.sort();
        f.debug_struct("WebhookEndpoint")
            .field("id", &self.id)
            .field("url", &self.shown_url())
            .field("secret", &"<hidden>")
            .field("events", &self.events)
            .field("filter", &self.filter)
            .field("enabled", &self.enabled)
            .field("rate_limit", &self.rate_limit)
            .field("headers", &names)
            .field("content_type", &self.content_type)
            .field("user_agent", &self.user_agent)
            .field("accepted_statuses", &self.accepted_statuses)
            .field("timeout_seconds", &self.timeout_seconds)
            .field("tenant", &self.tenant)
            .field("batch", &self.batch)
            .field("signature", &self.signature)
            .field("previous_secrets", &self.previous_secrets)
            .finish()
    }
}

impl fmt::Debug for PreviousSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreviousSecret")
            .field("secret", &"<hidden>")
            .field("expires_at", &self.expires_at)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint() -> WebhookEndpoint {
        WebhookEndpoint {
            id: "a".into(),
            url: "https://example.com".into(),
            secret: "hunter2".into(),
            events: vec!["*".into()],
            ..WebhookEndpoint::default()
        }
    }

    #[test]
    fn wiping_leaves_no_credential() {
        let mut wiped = endpoint();
        wiped
            .headers
            .insert("authorization".into(), "hunter2".into());
        wiped.previous_secrets.push(PreviousSecret {
            secret: "hunter2".into(),
            expires_at: Timestamp::EPOCH,
        });
        wiped.wipe();
        let json = serde_json::to_string(&wiped).unwrap();
        assert!(json.contains("authorization") && !json.contains("hunter2"));
    }

    #[test]
    fn debug_hides_what_may_be_a_credential() {
        let mut endpoint = endpoint();
        endpoint.url = "https://example.com/in?token=hunter2".into();
        endpoint
            .headers
            .insert("authorization".into(), "hunter2".into());
        let expires_at = Timestamp::EPOCH;
        endpoint.previous_secrets.push(PreviousSecret {
            secret: "hunter2".into(),
            expires_at,
        });
        assert!(!format!("{endpoint:?}").contains("hunter2"));
    }

    #[test]
    fn an_expired_secret_no_longer_signs() {
        let mut endpoint = endpoint();
        let expires_at = Timestamp::from_secs(10);
        endpoint.previous_secrets.push(PreviousSecret {
            secret: "old".into(),
            expires_at,
        });
        let live = |at| endpoint.live_secrets(Timestamp::from_secs(at)).count();
        assert_eq!((live(9), live(10)), (2, 1));
    }
}
