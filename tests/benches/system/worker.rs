//! A process that delivers what waits in a database, and its parent's handle.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use better_auth_webhooks::{NetworkPolicy, WebhookSystem};

use crate::Result;
use crate::database::{Database, Servers};

/// Delivers until its input ends.
pub(crate) async fn run(database: Database, url: &str, namespace: &str) -> Result {
    let storage = database.connect(url, namespace).await?;
    let system = WebhookSystem::builder()
        .network_policy(NetworkPolicy::permissive())
        .build(storage);
    // Answers once all endpoints are known.
    system.list_endpoints().await?;
    println!("up");
    let mut line = String::new();
    tokio::task::spawn_blocking(move || std::io::stdin().read_line(&mut line)).await??;
    system.shutdown(Duration::from_secs(5)).await?;
    Ok(())
}

/// Ends when it is dropped.
pub(crate) struct Worker(Child);

impl Worker {
    pub(crate) fn start(database: Database, servers: &Servers, namespace: &str) -> Result<Self> {
        let child = Command::new(std::env::current_exe()?)
            .args([
                "--worker",
                database.argument(),
                database.url(servers),
                namespace,
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        Ok(Self(child))
    }

    /// Waits until it delivers.
    pub(crate) fn wait_until_up(&mut self) -> Result {
        let output = self.0.stdout.take().ok_or("a worker has no output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        if line.trim() == "up" {
            Ok(())
        } else {
            Err(format!("a worker did not start: {line}").into())
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        drop(self.0.wait());
    }
}
