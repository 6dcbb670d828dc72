//! The private database server of a fault.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use xtask::{Postgres, Redis};

/// Which database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Postgres,
    Redis,
}

impl Kind {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Redis => "redis",
        }
    }

    pub(crate) fn parse(text: &str) -> Self {
        match text {
            "postgres" => Self::Postgres,
            "redis" => Self::Redis,
            other => panic!("{other} is no storage"),
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) enum Server {
    Postgres(Postgres),
    Redis(Redis),
}

impl Server {
    pub(crate) fn start(kind: Kind, folder: &Path, settings: &[&str]) -> Self {
        match kind {
            Kind::Postgres => Self::Postgres(Postgres::start(folder).unwrap()),
            Kind::Redis => Self::Redis(Redis::start(folder, settings).unwrap()),
        }
    }

    pub(crate) const fn kind(&self) -> Kind {
        match self {
            Self::Postgres(_) => Kind::Postgres,
            Self::Redis(_) => Kind::Redis,
        }
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::Postgres(server) => server.url(),
            Self::Redis(server) => server.url(),
        }
    }

    /// Kills it with all its processes.
    pub(crate) fn kill(&mut self) {
        match self {
            Self::Postgres(server) => server.kill(),
            Self::Redis(server) => server.kill(),
        }
    }

    /// Starts it again on the files that are left.
    pub(crate) fn restart(&mut self) {
        match self {
            Self::Postgres(server) => server.restart().unwrap(),
            Self::Redis(server) => server.restart().unwrap(),
        }
    }
}

/// Sends one command to Redis; its answer.
pub(crate) fn redis_command(url: &str, command: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(url.trim_start_matches("redis://"))?;
    stream.write_all(format!("{command}\r\n").as_bytes())?;
    let mut answer = [0; 256];
    let read = stream.read(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer[..read]).into_owned())
}
