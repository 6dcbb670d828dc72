//! What an endpoint's definition has to be.

use crate::field_rule::{ENCRYPTED_PREFIX, bound, broken};
use crate::header_rule::check_headers;
use crate::text_rule::{id_problem, name_problem};
use crate::{
    EventFilter, OrderBy, PRIVATE_KEY_PREFIX, Result, StandardSigner, WebhookEndpoint, WebhookError,
};

/// The longest URL, in bytes.
pub const MAX_URL: usize = 2_048;
/// The longest secret, in bytes.
const MAX_SECRET: usize = 1_024;
/// The most filters of one endpoint.
const MAX_FILTERS: usize = 256;
/// The longest timeout of one attempt, in seconds.
pub const MAX_TIMEOUT_SECONDS: u64 = 3_600;
/// The most secrets that sign while a rotation runs, the current one aside.
///
/// Each costs a signature per request, and receivers compare no more than eight.
const MAX_PREVIOUS_SECRETS: usize = 4;
/// The most statuses that count as accepted besides 2xx.
const MAX_ACCEPTED_STATUSES: usize = 32;
/// The longest description, in bytes.
const MAX_DESCRIPTION: usize = 1_024;
/// The most entries of metadata.
const MAX_METADATA: usize = 32;
/// The longest name of an entry, in bytes.
const MAX_METADATA_NAME: usize = 64;
/// The longest value of an entry, in bytes.
const MAX_METADATA_VALUE: usize = 512;
/// The response that disables an endpoint.
///
/// No endpoint can list it as accepted: the two meanings would contradict each other.
const GONE: u16 = 410;

impl WebhookEndpoint {
    /// Checks every field but the URL's host, which is the network policy's to judge.
    ///
    /// # Errors
    ///
    /// [`WebhookError::InvalidEndpoint`], [`WebhookError::InvalidFilter`] or
    /// [`WebhookError::InvalidConfig`], each naming the field and the bound.
    pub fn validate(&self) -> Result<()> {
        broken(id_problem("id", &self.id))?;
        if let Some(tenant) = &self.tenant {
            broken(name_problem("tenant", tenant))?;
        }
        bound("url", self.url.len(), 1, MAX_URL, "bytes")?;
        // In a log line or a header it would begin another one.
        if self.url.chars().any(char::is_control) {
            broken(Some("url holds a control character".into()))?;
        }
        bound(
            "timeout_seconds",
            self.timeout_seconds,
            0,
            MAX_TIMEOUT_SECONDS,
            "seconds",
        )?;
        self.check_secrets()?;
        self.filters()?;
        if let Some(filter) = &self.filter {
            filter.validate()?;
        }
        check_headers(
            &self.headers,
            self.content_type.as_deref(),
            self.user_agent.as_deref(),
        )?;
        self.check_accepted_statuses()?;
        self.check_texts()?;
        if let Some(rate_limit) = &self.rate_limit {
            rate_limit.validate()?;
        }
        if let Some(batch) = &self.batch {
            batch.validate()?;
            // Its batches would have one event each.
            if self.ordering == OrderBy::All {
                broken(Some(
                    "batch is set, which ordering all leaves no room for".into(),
                ))?;
            }
        }
        Ok(())
    }

    /// The filters that `events` holds.
    ///
    /// # Errors
    ///
    /// As [`validate`](Self::validate): no filter, too many, or one that is malformed.
    pub fn filters(&self) -> Result<Vec<EventFilter>> {
        bound("events", self.events.len(), 1, MAX_FILTERS, "filters")?;
        self.events
            .iter()
            .map(|pattern| EventFilter::new(pattern))
            .collect()
    }

    fn check_secrets(&self) -> Result<()> {
        bound(
            "previous_secrets",
            self.previous_secrets.len(),
            0,
            MAX_PREVIOUS_SECRETS,
            "secrets",
        )?;
        let previous = self.previous_secrets.iter().map(|p| p.secret.as_str());
        for secret in std::iter::once(self.secret.as_str()).chain(previous) {
            bound("secret", secret.len(), 1, MAX_SECRET, "bytes")?;
            // Not every storage can keep one.
            if secret.contains('\0') {
                broken(Some("secret holds a zero character".into()))?;
            }
            // Stored, it would be taken for an encrypted one, and could not be read any more.
            if secret.starts_with(ENCRYPTED_PREFIX) {
                return Err(WebhookError::InvalidEndpoint(
                    "secret starts with enc1:, which marks what is encrypted".into(),
                ));
            }
            // The timestamped scheme would take the private key for a shared secret, which the
            // receiver would have to know.
            if secret.starts_with(PRIVATE_KEY_PREFIX) && self.signature.is_timestamped() {
                return Err(WebhookError::InvalidEndpoint(
                    "secret starts with whsk_, a private key, which signs with signature standard \
                     alone"
                        .into(),
                ));
            }
            if self.signature.is_standard() {
                StandardSigner::new(secret)?;
            }
        }
        Ok(())
    }

    fn check_texts(&self) -> Result<()> {
        let length = self.description.len();
        bound("description", length, 0, MAX_DESCRIPTION, "bytes")?;
        bound("metadata", self.metadata.len(), 0, MAX_METADATA, "entries")?;
        for (name, value) in &self.metadata {
            bound("metadata's name", name.len(), 1, MAX_METADATA_NAME, "bytes")?;
            bound(
                "metadata's value",
                value.len(),
                0,
                MAX_METADATA_VALUE,
                "bytes",
            )?;
        }
        let entries = self.metadata.iter().flat_map(|(name, value)| [name, value]);
        // Not every storage can keep one.
        if entries
            .chain([&self.description])
            .any(|text| text.contains('\0'))
        {
            broken(Some(
                "description or metadata holds a zero character".into(),
            ))?;
        }
        Ok(())
    }

    fn check_accepted_statuses(&self) -> Result<()> {
        let count = self.accepted_statuses.len();
        let most = MAX_ACCEPTED_STATUSES;
        bound("accepted_statuses", count, 0, most, "statuses")?;
        let is_bad = |status: &&u16| !(300..=599).contains(*status) || **status == GONE;
        let bad = self.accepted_statuses.iter().find(is_bad);
        broken(bad.map(|status| {
            format!("accepted_statuses has {status}, it needs 300 to 599 without {GONE}")
        }))
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

    fn refusal(change: impl FnOnce(&mut WebhookEndpoint)) -> String {
        let mut changed = endpoint();
        change(&mut changed);
        changed.validate().unwrap_err().to_string()
    }

    #[test]
    fn a_plain_endpoint_is_valid() {
        endpoint().validate().unwrap();
    }

    #[test]
    fn each_wrong_field_is_named_with_its_bound() {
        assert!(refusal(|e| e.secret = "enc1:k:AAAA".into()).contains("secret starts with enc1:"));
        assert!(refusal(|e| e.id.clear()).contains("id has 0 bytes, it needs 1 to 256"));
        assert!(refusal(|e| e.id = "a b".into()).contains("id holds a space"));
        assert!(refusal(|e| e.url = "x".repeat(2_049)).contains("url has 2049 bytes"));
        assert!(refusal(|e| e.secret.clear()).contains("secret has 0 bytes"));
        assert!(refusal(|e| e.events.clear()).contains("events has 0 filters"));
        assert!(refusal(|e| e.events = vec!["a.*.b".into()]).contains("\"a.*.b\""));
        let filter = serde_json::from_str(r#"{"data":{"$like":1}}"#).unwrap();
        assert!(refusal(|e| e.filter = Some(filter)).contains("filter has the operator"));
        assert!(refusal(|e| e.timeout_seconds = 3_601).contains("timeout_seconds has 3601"));
        assert!(refusal(|e| e.tenant = Some(String::new())).contains("tenant has 0 bytes"));
    }

    #[test]
    fn statuses_that_mean_something_else_cannot_be_accepted() {
        let accepting = |statuses: Vec<u16>| WebhookEndpoint {
            accepted_statuses: statuses,
            ..endpoint()
        };
        accepting(vec![300, 302, 409, 599]).validate().unwrap();
        for bad in [0, 100, 199, 200, 299, 410, 600, u16::MAX] {
            let text = refusal(|e| e.accepted_statuses = vec![302, bad]);
            let expected = format!("accepted_statuses has {bad}, it needs 300 to 599 without 410");
            assert!(text.contains(&expected), "{text}");
        }
        assert!(refusal(|e| e.accepted_statuses = vec![302; 33]).contains("has 33 statuses"));
        let accepts = |status| accepting(vec![302]).accepts(status);
        assert!(accepts(200) && accepts(299) && accepts(302) && !accepts(301) && !accepts(199));
    }
}
