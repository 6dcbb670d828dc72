//! A private Redis server, with an append-only file and without eviction, as production needs it.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::{Result, install, process, services};

#[derive(Debug)]
pub(crate) struct Redis {
    server: Child,
    url: String,
}

impl Redis {
    /// Starts a server whose files are in `folder`, and waits until it answers.
    pub(crate) fn start(folder: &Path) -> Result<Self> {
        if install::find("redis-server", &[]).is_none() {
            install::apt("redis-server", "redis-server")?;
        }
        let folder = folder.join("redis");
        fs::create_dir(&folder).map_err(|e| e.to_string())?;
        let log = services::log(&folder.join("log"))?;
        let port = services::free_port()?;
        let mut server = Command::new("redis-server");
        server.args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
        ]);
        server.args(["--appendonly", "yes", "--maxmemory-policy", "noeviction"]);
        server.arg("--dir").arg(&folder);
        // A Ctrl-C is for this tool, which stops the server after what uses it.
        server.process_group(0).stdin(Stdio::null()).stdout(log);
        let mut started = Self {
            server: server
                .spawn()
                .map_err(|e| format!("cannot start redis-server: {e}"))?,
            url: format!("redis://127.0.0.1:{port}"),
        };
        let log = folder.join("log");
        services::wait_until_ready("redis-server", &mut started.server, &log, || answers(port))?;
        Ok(started)
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }
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
