//! What is wrong with the system, as far as it can tell, and what mends it.

use std::time::{Duration, SystemTime};

use better_auth_webhooks::storage::EndpointRecord;
use better_auth_webhooks::storage::spi::WORKER_DEAD_AFTER;
use serde::Serialize;
use tokio::time::{Instant, timeout};
use utoipa::ToSchema;
use webhooks_core::{Reencrypted, Timestamp, WebhookError};

use super::audit::Action;
use super::operations::Ops;
use crate::access::{ApiKey, Caller, Scope};
use crate::problem::Problem;

/// What one check may take. All of them together have the time of a request.
const PATIENCE: Duration = Duration::from_secs(2);
/// An answer of the storage that takes longer is slow.
const SLOW: Duration = Duration::from_millis(250);
/// How far the clock of a node may be from that of the storage.
const CLOCK: Duration = Duration::from_secs(2);
/// How long what is ready may wait.
const READY: Duration = Duration::from_secs(300);
/// How long before its end a key is told of.
const KEY_ENDS: Duration = Duration::from_secs(14 * 86_400);
/// Keys that are looked at.
const KEYS: usize = 1_000;
/// Ids that are named.
const NAMED: usize = 5;

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Check {
    /// What was looked at.
    name: &'static str,
    /// How it is.
    level: Level,
    /// What was found.
    detail: String,
    /// What to do about it; null where nothing is wrong.
    fix: Option<&'static str>,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Level {
    /// Nothing is wrong.
    Ok,
    /// It goes on, and something is to be done.
    Warn,
    /// Something does not work.
    Error,
}

/// What a check has found.
type Found = Result<Check, Problem>;

impl Ops {
    /// Looks at the system as a whole.
    pub(crate) async fn doctor(&self, caller: &Caller) -> Result<Vec<Check>, Problem> {
        caller.needs(Scope::MetricsRead)?;
        if caller.tenant.is_some() {
            return Err(Problem::not_found(
                "the state of the system is its operator's",
            ));
        }
        let (storage, answers) = self.storage_check().await;
        let mut checks = vec![storage];
        if !answers {
            // Nothing else can be told, and each try would take its time.
            return Ok(checks);
        }
        checks.push(told("clock", self.clock_check()));
        checks.push(self.durability_check());
        checks.push(within("schema", self.schema_check()).await);
        checks.push(within("encryption", self.encryption_check()).await);
        checks.push(within("workers", self.workers_check()).await);
        checks.push(within("dead_letters", self.dead_letters_check()).await);
        checks.push(within("oldest_ready", self.oldest_ready_check()).await);
        checks.push(within("endpoints", self.endpoints_check()).await);
        checks.push(within("keys", self.keys_check()).await);
        Ok(checks)
    }

    /// Encrypts the credentials of all endpoints with the newest key.
    pub(crate) async fn reencrypt(&self, caller: &Caller) -> Result<Reencrypted, Problem> {
        caller.needs(Scope::Admin)?;
        if caller.tenant.is_some() {
            return Err(Problem::not_found("the storage is its operator's"));
        }
        self.note(caller, Action::Reencrypt, "endpoints", Vec::new())
            .await?;
        self.maintenance.reencrypt().await?.ok_or_else(|| {
            let text = "the storage encrypts nothing, as far as the server knows";
            WebhookError::InvalidConfig(text.into()).into()
        })
    }

    /// Whether the storage answers, and how soon.
    async fn storage_check(&self) -> (Check, bool) {
        const FIX: &str = "see whether the database runs, is reached and is not overloaded";
        let began = Instant::now();
        let answered = timeout(PATIENCE, self.system.oldest_ready()).await;
        let took = began.elapsed();
        let (level, detail, fix) = match answered {
            Ok(Ok(_)) if took <= SLOW => (Level::Ok, "it answers", None),
            Ok(Ok(_)) => (Level::Warn, "it answers slowly", Some(FIX)),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the storage fails the doctor");
                (Level::Error, "it fails", Some(FIX))
            }
            Err(_) => (Level::Error, "it does not answer", Some(FIX)),
        };
        let detail = format!("{detail}: {} ms", took.as_millis());
        let check = Check {
            name: "storage",
            level,
            detail,
            fix,
        };
        (check, level != Level::Error)
    }

    /// How far the clock of this node is from that of the storage.
    fn clock_check(&self) -> Found {
        #[expect(
            clippy::disallowed_methods,
            reason = "the clock of the node is what is looked at"
        )]
        let node = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let node = node.ok().and_then(|at| i64::try_from(at.as_millis()).ok());
        let node = Timestamp::from_millis(node.unwrap_or(0));
        let storage = self.now()?;
        let apart = node.since(storage).max(storage.since(node));
        let detail = format!(
            "this node and the storage are {} ms apart",
            apart.as_millis()
        );
        Ok(match apart > CLOCK {
            false => ok("clock", detail),
            true => warn("clock", detail, "let NTP set the clocks of both machines"),
        })
    }

    /// What a crash of the storage may lose.
    fn durability_check(&self) -> Check {
        let warnings = self.maintenance.durability_warnings();
        match warnings.is_empty() {
            true => ok("durability", "nothing is known that a crash would lose"),
            false => warn(
                "durability",
                warnings.join("; "),
                "set the storage up as docs/operations.md says",
            ),
        }
    }

    /// Whether the schema is the one that this process knows.
    async fn schema_check(&self) -> Found {
        Ok(match self.maintenance.schema_version().await? {
            None => ok("schema", "there is none to be looked at"),
            Some((found, newest)) if found == newest => {
                ok("schema", format!("version {found}, the newest"))
            }
            Some((found, newest)) => {
                let detail = format!("version {found}; this process knows {newest}");
                let fix = "end the update: let all processes have one version, and migrate";
                warn("schema", detail, fix)
            }
        })
    }

    /// Whether all credentials can be read.
    async fn encryption_check(&self) -> Found {
        let unreadable = self.endpoints_that(|of| of.unreadable.is_some()).await?;
        Ok(match unreadable.is_empty() {
            true => ok("encryption", "the credentials of all endpoints can be read"),
            false => {
                let detail = format!("credentials cannot be read of {}", named(&unreadable));
                let fix = "give all encryption keys that were ever used, then POST /reencrypt";
                error("encryption", detail, fix)
            }
        })
    }

    /// Whether anybody delivers.
    async fn workers_check(&self) -> Found {
        const FIX: &str = "start a process with workers, and see why those that were there stopped";
        let (workers, now) = (self.system.workers().await?, self.now()?);
        let beats = workers.iter().map(|worker| now.since(worker.seen_at));
        let alive = beats.clone().filter(|ago| *ago < WORKER_DEAD_AFTER).count();
        Ok(match (alive, beats.min()) {
            (0, None) => warn("workers", "nobody delivers", FIX),
            (0, Some(ago)) => {
                let detail = format!("the last one was seen {} s ago", ago.as_secs());
                error("workers", detail, FIX)
            }
            (alive, _) => ok("workers", format!("{alive} deliver")),
        })
    }

    /// What was given up.
    async fn dead_letters_check(&self) -> Found {
        let dead = self.system.get_metrics().await?.counts.dead;
        let detail = format!("{dead} deliveries were given up");
        let fix = "look at GET /dead-letters/groups; mend the cause, then replay or purge them";
        Ok(match dead {
            0 => ok("dead_letters", detail),
            _ => warn("dead_letters", detail, fix),
        })
    }

    /// How long what is ready has waited.
    async fn oldest_ready_check(&self) -> Found {
        let oldest = self.system.oldest_ready().await?;
        let Some(since) = oldest else {
            return Ok(ok("oldest_ready", "nothing waits for a worker"));
        };
        let waits = self.now()?.since(since);
        let detail = format!("the oldest has waited for {} s", waits.as_secs());
        Ok(match waits > READY {
            false => ok("oldest_ready", detail),
            true => warn(
                "oldest_ready",
                detail,
                "add workers or processes, or raise max_in_flight",
            ),
        })
    }

    /// Endpoints that get nothing, or get it in the clear.
    async fn endpoints_check(&self) -> Found {
        let disabled = self.endpoints_that(|of| of.gate.disabled.is_some());
        let disabled = disabled.await?;
        let in_clear = self.endpoints_that(|of| of.endpoint.url.starts_with("http:"));
        let in_clear = in_clear.await?;
        let mut found = Vec::new();
        if !disabled.is_empty() {
            found.push(format!("disabled: {}", named(&disabled)));
        }
        if !in_clear.is_empty() {
            found.push(format!("over http: {}", named(&in_clear)));
        }
        let fix = "tell their owners; POST /endpoints/{id}/enable, and give them https addresses";
        Ok(match found.is_empty() {
            true => ok(
                "endpoints",
                "none is disabled, and all are reached over https",
            ),
            false => warn("endpoints", found.join("; "), fix),
        })
    }

    /// Keys that end before long.
    async fn keys_check(&self) -> Found {
        let keys = self.keys.documents();
        if !keys.are_kept() {
            return Ok(ok("keys", "the storage keeps none"));
        }
        let (kept, now) = (keys.list::<ApiKey>(None, false, KEYS).await?, self.now()?);
        let ends = |end: Timestamp| now < end && end.since(now) < KEY_ENDS;
        let ending = kept
            .iter()
            .filter(|key| key.value.expires_at.is_some_and(ends));
        let ending: Vec<_> = ending.map(|key| key.id.clone()).collect();
        let fix = "make new keys, and let their programs have them before these end";
        Ok(match ending.is_empty() {
            true => ok("keys", "none ends within 14 days"),
            false => warn(
                "keys",
                format!("end within 14 days: {}", named(&ending)),
                fix,
            ),
        })
    }

    /// The ids of endpoints of which this is so.
    async fn endpoints_that(
        &self,
        is_so: impl Fn(&EndpointRecord) -> bool,
    ) -> Result<Vec<String>, Problem> {
        let all = self.system.list_endpoints().await?;
        let found = all.iter().filter(|record| is_so(record));
        Ok(found.map(|record| record.endpoint.id.clone()).collect())
    }
}

/// A check that ends in time, whatever it finds.
async fn within(name: &'static str, check: impl Future<Output = Found>) -> Check {
    match timeout(PATIENCE, check).await {
        Ok(found) => told(name, found),
        Err(_) => error(name, "it cannot be told in time", "see the storage"),
    }
}

/// What was found, or that nothing could be.
fn told(name: &'static str, found: Found) -> Check {
    found.unwrap_or_else(|problem| {
        let detail = format!("it cannot be told: {}", problem.detail());
        error(name, detail, "see the storage, and the log of the server")
    })
}

fn ok(name: &'static str, detail: impl Into<String>) -> Check {
    Check {
        name,
        level: Level::Ok,
        detail: detail.into(),
        fix: None,
    }
}

fn warn(name: &'static str, detail: impl Into<String>, fix: &'static str) -> Check {
    Check {
        level: Level::Warn,
        fix: Some(fix),
        ..ok(name, detail)
    }
}

fn error(name: &'static str, detail: impl Into<String>, fix: &'static str) -> Check {
    Check {
        level: Level::Error,
        ..warn(name, detail, fix)
    }
}

/// How many, and the first of them.
fn named(ids: &[String]) -> String {
    let first: Vec<_> = ids.iter().take(NAMED).map(String::as_str).collect();
    let more = if ids.len() > NAMED { ", .." } else { "" };
    format!("{} ({}{more})", ids.len(), first.join(", "))
}
