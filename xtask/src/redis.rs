//! A private Redis server, with an append-only file and without eviction, as production needs it.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::{Result, install, process, server};

/// See the module. It is stopped when it is dropped.
#[derive(Debug)]
pub struct Redis {
    folder: PathBuf,
    port: u16,
    settings: Vec<String>,
    server: Child,
}

impl Redis {
    /// Starts a server whose files are in `folder`, and waits until it answers. The settings are
    /// further arguments, such as `--appendfsync always`.
    ///
    /// # Errors
    ///
    /// When it is not found and cannot be installed, or does not start: with its log.
    pub fn start(folder: &Path, settings: &[&str]) -> Result<Self> {
        install_if_missing()?;
        Self::start_on(folder.join("redis"), server::free_port()?, settings)
    }

    /// The same on this port, with its files in this folder, which does not exist yet.
    pub(crate) fn start_on(folder: PathBuf, port: u16, settings: &[&str]) -> Result<Self> {
        fs::create_dir(&folder).map_err(|e| e.to_string())?;
        let settings: Vec<_> = settings.iter().map(ToString::to_string).collect();
        let server = serve(&folder, port, &settings)?;
        Ok(Self {
            folder,
            port,
            settings,
            server,
        })
    }

    /// Where it answers.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// What the server answers to a command, without quotes and such.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub(crate) fn command(&self, command: &[&str]) -> Result<String> {
        let mut cli = Command::new("redis-cli");
        cli.args(["-p", &self.port.to_string()]).args(command);
        Ok(process::output(cli)?.trim().replace('\r', ""))
    }

    /// Sends the server a signal such as `STOP`.
    pub(crate) fn signal(&self, signal: &str) {
        process::kill(&self.server.id().to_string(), signal);
    }

    /// Kills the server at once.
    pub fn kill(&mut self) {
        process::kill(&self.server.id().to_string(), "KILL");
        drop(self.server.wait());
    }

    /// Starts the killed server again, and waits until it answers.
    ///
    /// # Errors
    ///
    /// When it does not start: with its log.
    pub fn restart(&mut self) -> Result {
        self.server = serve(&self.folder, self.port, &self.settings)?;
        Ok(())
    }
}

pub(crate) fn install_if_missing() -> Result {
    match install::find("redis-server", &[]) {
        Some(_) => Ok(()),
        None => install::apt("redis-server", "redis-server"),
    }
}

/// Starts the server and waits until it answers.
fn serve(folder: &Path, port: u16, settings: &[String]) -> Result<Child> {
    let log = folder.join("log");
    let mut server = Command::new("redis-server");
    server.args(["--port", &port.to_string(), "--bind", "127.0.0.1"]);
    server.args(["--save", "", "--appendonly", "yes"]);
    server.args(["--maxmemory-policy", "noeviction"]);
    server.args(settings).arg("--dir").arg(folder);
    // A Ctrl-C is for this tool, which stops the server after what uses it.
    server
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(server::log(&log)?);
    let mut server = server
        .spawn()
        .map_err(|e| format!("cannot start redis-server: {e}"))?;
    server::wait_until_ready("redis-server", &mut server, &log, || answers(port))?;
    Ok(server)
}

impl Drop for Redis {
    fn drop(&mut self) {
        process::stop_child(&mut self.server, "TERM", Duration::from_secs(10));
    }
}

fn answers(port: u16) -> bool {
    let ping = || -> std::io::Result<[u8; 5]> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"PING\r\n")?;
        let mut answer = [0; 5];
        stream.read_exact(&mut answer)?;
        Ok(answer)
    };
    ping().is_ok_and(|answer| &answer == b"+PONG")
}
