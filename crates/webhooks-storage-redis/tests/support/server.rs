//! Private servers, which end with their test.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fred::interfaces::ClientLike;
use fred::prelude::Client;
use fred::types::InfoKind;

/// A `redis-server` on a free port, in a temporary folder.
pub struct Server {
    pub port: u16,
    folder: PathBuf,
    arguments: Vec<String>,
    child: Child,
}

impl Server {
    pub async fn start(arguments: &[&str]) -> Self {
        let port = free_port();
        let folder =
            std::env::temp_dir().join(format!("webhooks-redis-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let arguments: Vec<String> = arguments.iter().map(|a| (*a).to_owned()).collect();
        let child = spawn(port, &folder, &arguments);
        let server = Self {
            port,
            folder,
            arguments,
            child,
        };
        server.answers().await;
        server
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Sends the process a signal such as `STOP`.
    pub fn signal(&self, signal: &str) {
        let kill = format!("kill -s {signal} {}", self.child.id());
        let sent = Command::new("sh").args(["-c", &kill]).status().unwrap();
        assert!(sent.success());
    }

    /// Kills the process with no time to say anything.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again with what it had on disk.
    pub async fn restart(&mut self) {
        self.child = spawn(self.port, &self.folder, &self.arguments);
        self.answers().await;
    }

    /// Returns once the server answers, for which it has ten seconds.
    async fn answers(&self) {
        for _ in 0..200 {
            let client = super::builder(&self.url()).build().unwrap();
            let connected = tokio::time::timeout(Duration::from_millis(500), client.init()).await;
            let ping = async { client.ping::<String>(None).await };
            if matches!(connected, Ok(Ok(_)))
                && matches!(
                    tokio::time::timeout(Duration::from_millis(500), ping).await,
                    Ok(Ok(_))
                )
            {
                client.quit().await.unwrap();
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("redis-server does not answer");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
        let _removed = std::fs::remove_dir_all(&self.folder);
    }
}

fn spawn(port: u16, folder: &PathBuf, arguments: &[String]) -> Child {
    let mut command = Command::new("redis-server");
    command.arg("--port").arg(port.to_string());
    command
        .arg("--dir")
        .arg(folder)
        .args(["--bind", "127.0.0.1"]);
    command.args(arguments).stdout(Stdio::null());
    command
        .spawn()
        .expect("redis-server is on the PATH, as `cargo xtask test` has it")
}

/// A port that is free, and whose port for the cluster bus, 10,000 higher, exists.
fn free_port() -> u16 {
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        if port < 55_000 && TcpListener::bind(("127.0.0.1", port + 10_000)).is_ok() {
            return port;
        }
    }
}

/// How many scripts the server has run, and how many commands in all.
pub async fn ran(redis: &Client) -> (u64, u64) {
    let told: String = redis.info(Some(InfoKind::CommandStats)).await.unwrap();
    let mut ran = (0, 0);
    for line in told.lines().filter(|line| line.starts_with("cmdstat_")) {
        let calls = line.split("calls=").nth(1).unwrap();
        let calls: u64 = calls.split(',').next().unwrap().parse().unwrap();
        if line.contains("_evalsha:") {
            ran.0 += calls;
        }
        ran.1 += calls;
    }
    ran
}
