use std::fmt;

use webhooks_core::{Result, WebhookError};

/// The oldest server whose commands the scripts use: 6.2 brought `SPOP` and `ZRANGE` as they are
/// needed, and scripts that are replicated by their effects.
const OLDEST: (u32, u32) = (6, 2);

/// A setting of the server with which it can lose what it acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DurabilityWarning {
    /// `appendonly` is not `yes`: a crash or restart loses what was written since the last
    /// snapshot, or everything if there is none.
    NoAppendOnlyFile,
    /// `appendfsync` is `no`: a crash of the machine loses as much as the kernel had not written
    /// yet, usually up to 30 seconds.
    NeverSynced,
    /// The user may not ask for `INFO`: what a crash can lose, and whether the server is old enough, is
    /// not known.
    Unknown,
    /// `maxmemory-policy` is not `noeviction`: a full server drops keys, deliveries among them.
    Evicts {
        /// The policy that is set.
        policy: String,
    },
}

impl fmt::Display for DurabilityWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAppendOnlyFile => f.write_str(
                "appendonly is off: a restart of Redis loses deliveries, set appendonly yes",
            ),
            Self::Unknown => f.write_str(
                "the user lacks +info: what a crash loses and the version of Redis are not known",
            ),
            Self::NeverSynced => f.write_str(
                "appendfsync is no: a crash of the machine loses deliveries, set everysec or always",
            ),
            Self::Evicts { policy } => write!(
                f,
                "maxmemory-policy is {policy}: a full Redis drops deliveries, set noeviction"
            ),
        }
    }
}

/// What `INFO` tells of a server.
#[derive(Debug)]
pub(crate) struct ServerInfo {
    text: String,
}

impl ServerInfo {
    pub(crate) const fn new(text: String) -> Self {
        Self { text }
    }

    /// Refuses a server that is too old, unless it does not tell.
    pub(crate) fn check_version(&self) -> Result<()> {
        if self.text.is_empty() {
            return Ok(());
        }
        let version = self.field("redis_version").unwrap_or("unknown");
        let mut parts = version.split('.').map(|n| n.parse::<u32>().unwrap_or(0));
        let found = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
        if found < OLDEST {
            return Err(WebhookError::InvalidConfig(
                format!(
                    "the version of Redis is {version}, it needs {}.{} or later",
                    OLDEST.0, OLDEST.1
                )
                .into(),
            ));
        }
        Ok(())
    }

    /// What the server can lose; `appendfsync` is unknown where the server does not tell it.
    pub(crate) fn warnings(&self, appendfsync: Option<&str>) -> Vec<DurabilityWarning> {
        let mut warnings = Vec::new();
        if self.text.is_empty() {
            return vec![DurabilityWarning::Unknown];
        }
        if self.field("aof_enabled") != Some("1") {
            warnings.push(DurabilityWarning::NoAppendOnlyFile);
        } else if appendfsync == Some("no") {
            warnings.push(DurabilityWarning::NeverSynced);
        }
        let policy = self.field("maxmemory_policy").unwrap_or("unknown");
        if policy != "noeviction" {
            let policy = policy.to_owned();
            warnings.push(DurabilityWarning::Evicts { policy });
        }
        warnings
    }

    fn field(&self, name: &str) -> Option<&str> {
        let mut lines = self.text.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(text: &str) -> ServerInfo {
        ServerInfo::new(text.replace('\n', "\r\n"))
    }

    #[test]
    fn an_old_server_is_refused() {
        for (version, fits) in [("6.0.16", false), ("6.2.0", true), ("10.0.1", true)] {
            let server = info(&format!("redis_version:{version}\n"));
            assert_eq!(server.check_version().is_ok(), fits, "{version}");
        }
    }

    #[test]
    fn each_missing_setting_is_told() {
        let good = info("aof_enabled:1\nmaxmemory_policy:noeviction\n");
        assert!(good.warnings(Some("everysec")).is_empty());
        assert_eq!(good.warnings(Some("no")), [DurabilityWarning::NeverSynced]);
        let bad = info("aof_enabled:0\nmaxmemory_policy:allkeys-lru\n");
        let silent = info("");
        assert!(silent.check_version().is_ok());
        assert_eq!(silent.warnings(None), [DurabilityWarning::Unknown]);
        let policy = "allkeys-lru".into();
        assert_eq!(
            bad.warnings(None),
            [
                DurabilityWarning::NoAppendOnlyFile,
                DurabilityWarning::Evicts { policy }
            ]
        );
    }
}
