//! The private database server of a fault.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use xtask::{Postgres, PostgresPair, Redis};

use crate::cluster::Cluster;

/// Which database, and how it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Postgres,
    Redis,
    Cluster,
    /// A cluster whose replicas are waited for.
    WaitingCluster,
}

impl Kind {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Redis => "redis",
            Self::Cluster => "cluster",
            Self::WaitingCluster => "waiting-cluster",
        }
    }

    pub(crate) fn parse(text: &str) -> Self {
        match text {
            "postgres" => Self::Postgres,
            "redis" => Self::Redis,
            "cluster" => Self::Cluster,
            "waiting-cluster" => Self::WaitingCluster,
            other => panic!("{other} is no storage"),
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) enum Server {
    Postgres(Postgres),
    Redis(Redis),
    Pair(PostgresPair),
    Cluster(Cluster),
}

impl Server {
    pub(crate) fn start(kind: Kind, folder: &Path, settings: &[&str]) -> Self {
        match kind {
            Kind::Postgres => Self::Postgres(Postgres::start(folder).unwrap()),
            Kind::Redis => Self::Redis(Redis::start(folder, settings).unwrap()),
            Kind::Cluster => Self::Cluster(Cluster::start(folder, false)),
            Kind::WaitingCluster => Self::Cluster(Cluster::start(folder, true)),
        }
    }

    pub(crate) fn start_pair(folder: &Path, waits: bool) -> Self {
        Self::Pair(PostgresPair::start(folder, waits).unwrap())
    }

    pub(crate) const fn kind(&self) -> Kind {
        match self {
            Self::Postgres(_) | Self::Pair(_) => Kind::Postgres,
            Self::Redis(_) => Kind::Redis,
            Self::Cluster(cluster) if cluster.waits => Kind::WaitingCluster,
            Self::Cluster(_) => Kind::Cluster,
        }
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::Postgres(server) => server.url(),
            Self::Redis(server) => server.url(),
            Self::Pair(pair) => pair.url(),
            Self::Cluster(cluster) => cluster.url(),
        }
    }

    /// Kills it with all its processes; of several servers the one that is written to.
    pub(crate) fn kill(&mut self) {
        match self {
            Self::Postgres(server) => server.kill(),
            Self::Redis(server) => server.kill(),
            Self::Pair(pair) => pair.kill(),
            Self::Cluster(cluster) => cluster.kill(),
        }
    }

    /// Starts it again on the files that are left; where another one has taken over, as its replica.
    pub(crate) fn restart(&mut self) {
        match self {
            Self::Postgres(server) => server.restart().unwrap(),
            Self::Redis(server) => server.restart().unwrap(),
            Self::Pair(pair) => pair.add_standby().unwrap(),
            Self::Cluster(cluster) => cluster.restart(),
        }
    }

    /// Cuts off the replica that is to take over: it gets nothing more of what is written. Of a cluster
    /// that of the node that keeps this endpoint.
    pub(crate) fn cut(&mut self, endpoint: &str) {
        match self {
            Self::Pair(pair) => pair.cut().unwrap(),
            Self::Cluster(cluster) => cluster.cut(endpoint),
            Self::Postgres(_) | Self::Redis(_) => panic!("it has no replica"),
        }
    }

    /// Waits until the replica has taken over from the server that was killed.
    pub(crate) fn take_over(&mut self) {
        match self {
            Self::Pair(pair) => pair.promote().unwrap(),
            Self::Cluster(cluster) => cluster.take_over(),
            Self::Postgres(_) | Self::Redis(_) => panic!("it has no replica"),
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
