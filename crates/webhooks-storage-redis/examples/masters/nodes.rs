//! The masters of a cluster, each with an equal part of the slots.

use std::error::Error;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

pub(crate) type Result<T = ()> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const SLOTS: u32 = 16_384;
const FIRST_PORT: u32 = 21_700;

/// Stopped, and their files dropped, when it is dropped.
pub(crate) struct Nodes {
    folder: PathBuf,
    masters: u32,
    servers: Vec<Child>,
}

impl Nodes {
    /// Starts so many, and waits until each knows that all slots are served.
    pub(crate) fn start(masters: u32) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("masters-{}", std::process::id()));
        let mut nodes = Self {
            folder,
            masters,
            servers: Vec::new(),
        };
        for n in 0..masters {
            let folder = nodes.folder.join(n.to_string());
            std::fs::create_dir_all(&folder)?;
            let mut server = Command::new("redis-server");
            server.args(["--port", &port(n), "--bind", "127.0.0.1", "--save", ""]);
            server.args(["--cluster-enabled", "yes", "--appendonly", "yes"]);
            server
                .args(["--appendfsync", "everysec", "--dir"])
                .arg(folder);
            nodes.servers.push(server.stdout(Stdio::null()).spawn()?);
        }
        wait_until(|| (0..masters).all(|n| cli(n, &["ping"]).is_ok_and(|told| told == "PONG")))?;
        for n in 0..masters {
            let (from, to) = (SLOTS * n / masters, SLOTS * (n + 1) / masters - 1);
            let range = [from.to_string(), to.to_string()];
            cli(n, &["cluster", "addslotsrange", &range[0], &range[1]])?;
            cli(n, &["cluster", "set-config-epoch", &(n + 1).to_string()])?;
            cli(0, &["cluster", "meet", "127.0.0.1", &port(n)])?;
        }
        let known = format!("cluster_known_nodes:{masters}");
        wait_until(|| {
            let mut told = (0..masters).filter_map(|n| cli(n, &["cluster", "info"]).ok());
            told.all(|info| info.contains("cluster_state:ok") && info.contains(&known))
        })?;
        Ok(nodes)
    }

    pub(crate) fn url(&self) -> String {
        format!("redis-cluster://127.0.0.1:{}", port(0))
    }

    /// The processor time that all have used, in microseconds.
    pub(crate) fn processor_us(&self) -> Result<f64> {
        let mut sum = 0.0;
        for n in 0..self.masters {
            for line in cli(n, &["info", "cpu"])?.lines() {
                let used = line.strip_prefix("used_cpu_sys:");
                let used = used.or_else(|| line.strip_prefix("used_cpu_user:"));
                sum += used.map_or(Ok(0.0), |used| used.trim().parse::<f64>())?;
            }
        }
        Ok(sum * 1e6)
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        for server in &mut self.servers {
            drop(server.kill());
            drop(server.wait());
        }
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

fn port(n: u32) -> String {
    (FIRST_PORT + n).to_string()
}

/// What a node answers.
fn cli(n: u32, command: &[&str]) -> Result<String> {
    let mut cli = Command::new("redis-cli");
    cli.args(["-e", "-p", &port(n)]).args(command);
    let output = cli.stderr(Stdio::null()).output()?;
    let told = String::from_utf8(output.stdout)?.trim().to_owned();
    if output.status.success() {
        return Ok(told);
    }
    Err(format!("{command:?}: {told}").into())
}

fn wait_until(is_so: impl Fn() -> bool) -> Result {
    for _ in 0..300 {
        if is_so() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Err("the nodes are no cluster within 30 s".into())
}
