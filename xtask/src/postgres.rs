//! A private PostgreSQL server.
//!
//! It keeps what it confirms (fsync is on), as a production server does, and listens on loopback
//! alone, where it trusts everybody.

use std::fs::{self, File};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use crate::{Result, install, process, server};

/// See the module. It is stopped when it is dropped.
#[derive(Debug)]
pub struct Postgres {
    programs: Programs,
    folder: PathBuf,
    port: u16,
    server: Child,
}

impl Postgres {
    /// Starts a server whose files are in `folder`, and waits until it answers.
    ///
    /// # Errors
    ///
    /// When it is not found and cannot be installed, or does not start: with its log.
    pub fn start(folder: &Path) -> Result<Self> {
        let programs = Programs::find_or_install()?;
        let folder = programs.own_folder(folder.join("postgres"))?;
        let mut initdb = programs.command("initdb", &folder)?;
        initdb
            .arg("-D")
            .arg(folder.join("data"))
            .args(["-U", "postgres", "-A", "trust"]);
        initdb.args(["-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"]);
        process::run(initdb).map_err(|e| format!("{e}\n{}", server::told(&folder.join("log"))))?;
        let port = server::free_port()?;
        let server = programs.serve(&folder, port)?;
        Ok(Self {
            programs,
            folder,
            port,
            server,
        })
    }

    /// Starts a standby of this server on a port: a copy that follows it, with its files in this folder,
    /// which does not exist yet.
    pub(crate) fn start_standby(&self, folder: PathBuf, port: u16) -> Result<Self> {
        let programs = Programs::find_or_install()?;
        let folder = programs.own_folder(folder)?;
        let mut copy = programs.command("pg_basebackup", &folder)?;
        copy.arg("-D")
            .arg(folder.join("data"))
            .args(["-R", "-X", "stream"]);
        copy.args(["--checkpoint", "fast", "--no-sync", "-d", &self.url()]);
        process::run(copy).map_err(|e| format!("{e}\n{}", server::told(&folder.join("log"))))?;
        let server = programs.serve(&folder, port)?;
        Ok(Self {
            programs,
            folder,
            port,
            server,
        })
    }

    /// Makes this standby the server that is written to, and waits until it is.
    pub(crate) fn promote(&self) -> Result {
        let mut promote = self.programs.command("pg_ctl", &self.folder)?;
        promote
            .args(["promote", "-w", "-D"])
            .arg(self.folder.join("data"));
        process::run(promote)
    }

    /// What the server answers to a statement, without titles.
    pub(crate) fn query(&self, sql: &str) -> Result<String> {
        let mut psql = Command::new(self.programs.folder.join("psql"));
        psql.args(["-X", "-q", "-A", "-t", "-d", &self.url(), "-c", sql]);
        Ok(process::output(psql)?.trim().to_owned())
    }

    /// The processes that the server has started.
    pub(crate) fn processes(&self) -> Vec<u32> {
        process::children(self.server.id())
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Where it answers.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// Kills the server and all its processes at once, as a power cut does.
    pub fn kill(&mut self) {
        let server = self.server.id();
        // So that it starts none in the place of those that it sees die.
        process::kill(&server.to_string(), "STOP");
        let mut processes = process::children(server);
        processes.push(server);
        for id in processes {
            process::kill(&id.to_string(), "KILL");
        }
        drop(self.server.wait());
    }

    /// Starts the killed server again, and waits until it answers.
    ///
    /// # Errors
    ///
    /// When it does not start: with its log.
    pub fn restart(&mut self) -> Result {
        self.server = self.programs.serve(&self.folder, self.port)?;
        Ok(())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // A fast shutdown: it ends sessions, and the files are left as they should be.
        process::stop_child(&mut self.server, "INT", Duration::from_secs(10));
    }
}

/// The server's programs and who may run them.
#[derive(Debug)]
struct Programs {
    folder: PathBuf,
    /// User and group, if this process is root, whom PostgreSQL refuses.
    run_as: Option<(u32, u32)>,
}

impl Programs {
    fn find_or_install() -> Result<Self> {
        let folder = match Self::folder() {
            Some(folder) => folder,
            None => {
                install::apt("PostgreSQL", "postgresql")?;
                Self::folder().ok_or("PostgreSQL was installed, but its programs were not found")?
            }
        };
        let run_as = if install::is_root()? {
            let user = |flag| {
                install::id(&[flag, "postgres"])
                    .map_err(|e| format!("root may not run PostgreSQL, a user postgres may: {e}"))
            };
            Some((user("-u")?, user("-g")?))
        } else {
            None
        };
        Ok(Self { folder, run_as })
    }

    /// Makes a folder that belongs to whoever runs the programs.
    fn own_folder(&self, folder: PathBuf) -> Result<PathBuf> {
        fs::create_dir(&folder).map_err(|e| e.to_string())?;
        if let Some((user, group)) = self.run_as {
            chown(&folder, Some(user), Some(group)).map_err(|e| e.to_string())?;
        }
        Ok(folder)
    }

    /// Starts the server and waits until it answers.
    fn serve(&self, folder: &Path, port: u16) -> Result<Child> {
        let port = port.to_string();
        let mut server = self.command("postgres", folder)?;
        server.arg("-D").arg(folder.join("data"));
        server.arg("-k").arg(folder).args(["-p", &port]);
        server.args(["-c", "listen_addresses=127.0.0.1"]);
        server.args(["-c", "max_connections=200", "-c", "fsync=on"]);
        let mut server = server
            .spawn()
            .map_err(|e| format!("cannot start postgres: {e}"))?;
        let is_ready = ["-q", "-h", "127.0.0.1", "-U", "postgres", "-p", &port];
        server::wait_until_ready("postgres", &mut server, &folder.join("log"), || {
            Command::new(self.folder.join("pg_isready"))
                .args(is_ready)
                .status()
                .is_ok_and(|status| status.success())
        })?;
        Ok(server)
    }

    /// Debian keeps one folder per version, outside `PATH`.
    fn folder() -> Option<PathBuf> {
        let versions = fs::read_dir("/usr/lib/postgresql")
            .into_iter()
            .flatten()
            .flatten();
        let mut folders: Vec<PathBuf> = versions.map(|v| v.path().join("bin")).collect();
        let version = |folder: &PathBuf| {
            let name = folder.parent()?.file_name()?.to_str()?;
            name.parse::<u32>().ok()
        };
        folders.sort_by_key(version);
        folders.reverse();
        let initdb = install::find("initdb", &folders)?;
        // A link in PATH leads to where all the programs are.
        let initdb = initdb.canonicalize().ok()?;
        let folder = initdb.parent()?;
        folder.join("postgres").is_file().then(|| folder.to_owned())
    }

    /// A program that writes to the log in `folder`, in a process group of its own: a Ctrl-C is for
    /// this tool, which stops the server after what uses it.
    fn command(&self, program: &str, folder: &Path) -> Result<Command> {
        let log = server::log(&folder.join("log"))?;
        let errors = log.try_clone().map_err(|e| e.to_string())?;
        let mut command = Command::new(self.folder.join(program));
        command.current_dir(folder).process_group(0);
        command.stdin(File::open("/dev/null").map_err(|e| e.to_string())?);
        command.stdout(log).stderr(errors);
        if let Some((user, group)) = self.run_as {
            command.uid(user).gid(group);
        }
        Ok(command)
    }
}
