//! Real egress proxies, on loopback.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::{Result, install, process, server};

/// Programs that tunnel, with the packages that bring them.
const PROGRAMS: &[(&str, &str)] = &[
    ("squid", "squid"),
    ("tinyproxy", "tinyproxy-bin"),
    ("microsocks", "microsocks"),
    ("stunnel4", "stunnel4"),
];

/// A proxy. It is stopped when it is dropped.
#[derive(Debug)]
pub struct EgressProxy {
    port: u16,
    program: Child,
}

impl EgressProxy {
    /// Squid: takes `CONNECT` of anybody, but not to port 9.
    ///
    /// # Errors
    ///
    /// When it is not found and cannot be installed, or does not start: with its log. So of the others.
    pub fn squid(folder: &Path) -> Result<Self> {
        let settings = |port| {
            format!(
                "http_port 127.0.0.1:{port}\nacl discard port 9\nhttp_access deny discard\n\
                 http_access allow all\ncache deny all\naccess_log none\ncache_log /dev/null\n\
                 pid_filename none\nshutdown_lifetime 0 seconds\ncoredump_dir none\n\
                 netdb_filename none\npinger_enable off\n"
            )
        };
        Self::with_file(folder, "squid", settings, |file| {
            vec!["-N".into(), "-f".into(), file]
        })
    }

    /// Tinyproxy: takes `CONNECT` of who has this name and password, of letters and digits.
    ///
    /// # Errors
    ///
    /// As [`squid`](Self::squid).
    pub fn tinyproxy(folder: &Path, user: &str, password: &str) -> Result<Self> {
        let settings = |port| {
            format!("Port {port}\nListen 127.0.0.1\nTimeout 60\nBasicAuth {user} {password}\n")
        };
        Self::with_file(folder, "tinyproxy", settings, |file| {
            vec!["-d".into(), "-c".into(), file]
        })
    }

    /// Microsocks: SOCKS5 for who has this name and password.
    ///
    /// # Errors
    ///
    /// As [`squid`](Self::squid).
    pub fn microsocks(folder: &Path, user: &str, password: &str) -> Result<Self> {
        let args = |port: u16| {
            let port = port.to_string();
            let args = ["-i", "127.0.0.1", "-p", &port, "-u", user, "-P", password];
            args.map(str::to_owned).to_vec()
        };
        Self::start(folder, "microsocks", args)
    }

    /// Stunnel: TLS in front of a proxy at this port, with a certificate and key in one PEM file.
    ///
    /// # Errors
    ///
    /// As [`squid`](Self::squid).
    pub fn stunnel(folder: &Path, certificate: &Path, behind: u16) -> Result<Self> {
        let settings = |port| {
            format!(
                "foreground = yes\npid =\n[proxy]\naccept = 127.0.0.1:{port}\n\
                 connect = 127.0.0.1:{behind}\ncert = {}\n",
                certificate.display()
            )
        };
        Self::with_file(folder, "stunnel4", settings, |file| vec![file])
    }

    fn with_file(
        folder: &Path,
        name: &str,
        settings: impl FnOnce(u16) -> String,
        args: impl FnOnce(String) -> Vec<String>,
    ) -> Result<Self> {
        let file = folder.join(format!("{name}.conf"));
        let path = file.display().to_string();
        let write = |port| fs::write(&file, settings(port)).map_err(|e| e.to_string());
        let port = server::free_port()?;
        write(port)?;
        Self::spawn(folder, name, port, &args(path))
    }

    fn start(folder: &Path, name: &str, args: impl FnOnce(u16) -> Vec<String>) -> Result<Self> {
        let port = server::free_port()?;
        Self::spawn(folder, name, port, &args(port))
    }

    fn spawn(folder: &Path, name: &str, port: u16, args: &[String]) -> Result<Self> {
        let path = folder.join(format!("{name}.log"));
        let (out, err) = (server::log(&path)?, server::log(&path)?);
        let mut command = Command::new(find_or_install(name)?);
        command.args(args).current_dir(folder);
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        let program = command.spawn();
        let mut program = program.map_err(|e| format!("cannot start {name}: {e}"))?;
        server::wait_until_ready(name, &mut program, &path, || {
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
        })?;
        Ok(Self { port, program })
    }

    /// Where it listens, on 127.0.0.1.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for EgressProxy {
    fn drop(&mut self) {
        process::stop_child(&mut self.program, "TERM", Duration::from_secs(10));
    }
}

/// All programs. Several processes that find them missing at once are in each other's way.
pub(crate) fn find_or_install_all() -> Result {
    PROGRAMS
        .iter()
        .try_for_each(|(name, _)| find_or_install(name).map(drop))
}

fn find_or_install(name: &str) -> Result<PathBuf> {
    let find = || install::find(name, &[PathBuf::from("/usr/sbin")]);
    if find().is_none() {
        let package = PROGRAMS.iter().find(|(program, _)| *program == name);
        install::apt(name, package.map_or(name, |(_, package)| package))?;
    }
    find().ok_or_else(|| format!("{name} was installed, but was not found"))
}
