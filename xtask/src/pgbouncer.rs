//! A private PgBouncer before a PostgreSQL server.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::{Result, install, process, server};

/// See the module. It is stopped when it is dropped.
#[derive(Debug)]
pub struct PgBouncer {
    port: u16,
    pooler: Child,
}

impl PgBouncer {
    /// Starts one whose files are in `folder`, and waits until it takes connections, of any user and
    /// without a password. `server` is where it connects to, as `host=.. port=.. user=..`; the settings
    /// are lines of its file, such as `pool_mode = session`.
    ///
    /// # Errors
    ///
    /// When it is not found and cannot be installed, or does not start: with its log.
    pub fn start(folder: &Path, server: &str, settings: &[&str]) -> Result<Self> {
        let program = find_or_install()?;
        let folder = folder.join("pgbouncer");
        fs::create_dir(&folder).map_err(|e| e.to_string())?;
        let port = server::free_port()?;
        let file = folder.join("pgbouncer.ini");
        let text = format!(
            "[databases]\n* = {server}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = any\n{}\n",
            settings.join("\n")
        );
        fs::write(&file, text).map_err(|e| e.to_string())?;
        let log = server::log(&folder.join("log"))?;
        let mut command = Command::new(program);
        command.arg(&file).current_dir(&folder).process_group(0);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        if install::is_root()? {
            // It refuses to be root.
            let (user, group) = (
                install::id(&["-u", "postgres"])?,
                install::id(&["-g", "postgres"])?,
            );
            chown(&folder, Some(user), Some(group)).map_err(|e| e.to_string())?;
            command.uid(user).gid(group);
        }
        let pooler = command.spawn();
        let mut pooler = pooler.map_err(|e| format!("cannot start pgbouncer: {e}"))?;
        server::wait_until_ready("pgbouncer", &mut pooler, &folder.join("log"), || {
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
        })?;
        Ok(Self { port, pooler })
    }

    /// Where it answers, on 127.0.0.1.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
}

/// Its program. Several processes that find it missing at once are in each other's way.
pub(crate) fn find_or_install() -> Result<PathBuf> {
    let find = || install::find("pgbouncer", &[PathBuf::from("/usr/sbin")]);
    if find().is_none() {
        install::apt("pgbouncer", "pgbouncer")?;
    }
    find().ok_or_else(|| "pgbouncer was installed, but was not found".into())
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        process::stop_child(&mut self.pooler, "INT", Duration::from_secs(10));
    }
}
