//! A private PostgreSQL server and its standby, which follows it by streaming.

use std::path::{Path, PathBuf};

use crate::server::wait_until;
use crate::{Postgres, Result, process, server};

/// See the module. Both are stopped when it is dropped.
#[derive(Debug)]
pub struct PostgresPair {
    folder: PathBuf,
    /// Whether a commit waits until the standby has it on its disk.
    waits: bool,
    ports: [u16; 2],
    primary: Postgres,
    standby: Option<Postgres>,
    /// Standbys that were made.
    made: u32,
}

impl PostgresPair {
    /// Starts both, with their files in `folder`, and waits until the standby follows. With `waits`
    /// commits are synchronous (`synchronous_standby_names`).
    ///
    /// # Errors
    ///
    /// As [`Postgres::start`], and when the standby does not follow in 30 s.
    pub fn start(folder: &Path, waits: bool) -> Result<Self> {
        let primary = Postgres::start(folder)?;
        let ports = [primary.port(), server::free_port()?];
        let mut pair = Self {
            folder: folder.to_owned(),
            waits,
            ports,
            primary,
            standby: None,
            made: 0,
        };
        pair.add_standby()?;
        Ok(pair)
    }

    /// Where they answer: whoever connects gets the one that can be written to.
    #[must_use]
    pub fn url(&self) -> String {
        let [one, other] = self.ports;
        format!(
            "postgres://postgres@127.0.0.1:{one},127.0.0.1:{other}/postgres?target_session_attrs=read-write"
        )
    }

    /// Cuts the standby off: it stands still, and its connection ends.
    ///
    /// # Errors
    ///
    /// When one of the two does not answer.
    pub fn cut(&self) -> Result {
        process::kill(&self.receiver()?, "STOP");
        self.primary
            .query("SELECT pg_terminate_backend(pid) FROM pg_stat_replication")?;
        Ok(())
    }

    /// Kills the primary at once.
    pub fn kill(&mut self) {
        self.primary.kill();
    }

    /// Makes the standby the primary, in the place of the one that was killed.
    ///
    /// # Errors
    ///
    /// When there is none, or it cannot be promoted.
    pub fn promote(&mut self) -> Result {
        let standby = self.standby.take().ok_or("there is no standby")?;
        for process in standby.processes() {
            process::kill(&process.to_string(), "CONT");
        }
        standby.promote()?;
        self.primary = standby;
        Ok(())
    }

    /// Gives the primary a standby, and waits until that follows, and is waited for where it has to be.
    ///
    /// # Errors
    ///
    /// When it does not start, or does not follow in 30 s.
    pub fn add_standby(&mut self) -> Result {
        self.made += 1;
        let folder = self.folder.join(format!("standby-{}", self.made));
        let [one, other] = self.ports;
        let port = if self.primary.port() == one {
            other
        } else {
            one
        };
        self.standby = Some(self.primary.start_standby(folder, port)?);
        if self.waits {
            // The copy has none: whoever is promoted waits for nobody until it has a standby.
            self.primary
                .query("ALTER SYSTEM SET synchronous_standby_names = '*'")?;
            self.primary.query("SELECT pg_reload_conf()")?;
        }
        let state = if self.waits { "sync" } else { "async" };
        let follows = "SELECT state, sync_state FROM pg_stat_replication";
        wait_until("the standby follows", || {
            Ok(self.primary.query(follows)? == format!("streaming|{state}"))
        })
    }

    /// The process of the standby that takes what the primary sends.
    fn receiver(&self) -> Result<String> {
        let standby = self.standby.as_ref().ok_or("there is no standby")?;
        standby.query("SELECT pid FROM pg_stat_wal_receiver")
    }
}
