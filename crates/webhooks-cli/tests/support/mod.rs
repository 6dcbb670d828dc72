//! Commands as processes, each in a folder of its own.
#![allow(dead_code, reason = "each file of tests uses some of it")]

use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

pub(crate) const KEY: &str = "a root key of the tests, long enough";

/// A folder in which commands run, and nothing of the person who runs the tests.
pub(crate) struct Place(PathBuf);

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A server; it is killed when it is dropped.
pub(crate) struct Served {
    _child: Child,
    pub(crate) url: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        let id = better_auth_webhooks::WorkerId::unique();
        let path = std::env::temp_dir().join(format!("webhooks-client-{}", id.as_str()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &std::path::Path {
        &self.0
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).unwrap();
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_webhooks"));
        let own = std::env::vars_os().map(|(name, _)| name);
        for name in own.filter(|name| name.to_string_lossy().starts_with("WEBHOOKS_")) {
            command.env_remove(name);
        }
        command.current_dir(&self.0).kill_on_drop(true);
        command
            .env("HOME", &self.0)
            .env("XDG_CONFIG_HOME", self.0.join("config"));
        command.stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) async fn run(&self, arguments: &[&str]) -> Said {
        said(self.command().args(arguments)).await
    }

    /// Runs it on the storage, without a server.
    pub(crate) async fn local(&self, arguments: &[&str]) -> Said {
        let on = ["--storage", "sqlite:webhooks.db", "--network", "permissive"];
        said(self.command().args(arguments).args(on)).await
    }

    /// A server on the same storage.
    pub(crate) async fn serve(&self) -> Served {
        let mut command = self.command();
        command.args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--network",
            "permissive",
        ]);
        let mut child = command.env("WEBHOOKS_ROOT_KEY", KEY).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.next_line().await.unwrap();
        let line = line.expect("it tells where it is");
        Served {
            _child: child,
            url: line.split(',').next().unwrap().to_owned(),
        }
    }

    /// Runs it against a server.
    pub(crate) async fn remote(&self, served: &Served, arguments: &[&str]) -> Said {
        let mut command = self.command();
        command.args(arguments).args(["--server", &served.url]);
        said(command.env("WEBHOOKS_KEY", KEY)).await
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

pub(crate) async fn said(command: &mut Command) -> Said {
    let output = command.output().await.unwrap();
    Said {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Said {
    #[track_caller]
    pub(crate) fn well(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    #[track_caller]
    pub(crate) fn fails(self, code: i32, with: &str) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.err.contains(with), "{self:?}");
        assert_eq!(self.err.matches('\u{1b}').count(), 0, "{self:?}");
        self
    }

    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.err.contains(text), "{self:?}");
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap()
    }
}
