//! The receiver's process, as its parent sees it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::Result;

/// It ends with this one.
pub(crate) struct SinkProcess {
    port: u16,
    child: Child,
    output: Mutex<BufReader<ChildStdout>>,
}

/// What arrived since it was last asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrivals {
    pub(crate) count: u64,
    /// A second, from the first to the last.
    pub(crate) rate: f64,
    /// Milliseconds from sending to arrival.
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

impl SinkProcess {
    pub(crate) fn start() -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("--sink")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().ok_or("the receiver has no output")?;
        let mut output = BufReader::new(output);
        let mut port = String::new();
        output.read_line(&mut port)?;
        Ok(Self {
            port: port.trim().parse()?,
            child,
            output: Mutex::new(output),
        })
    }

    /// Where requests are answered.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// Where they are not.
    pub(crate) fn hanging_url(&self) -> String {
        format!("http://127.0.0.1:{}/hang", self.port)
    }

    /// What arrived since the last call.
    pub(crate) fn take(&self) -> Result<Arrivals> {
        let answer = self.ask("take")?;
        let numbers = answer.split_whitespace().map(str::parse::<u64>);
        let numbers = numbers.collect::<std::result::Result<Vec<_>, _>>()?;
        let [count, first, last, p50, p99] = numbers.as_slice() else {
            return Err(format!("the receiver answered {answer}").into());
        };
        let seconds = last.saturating_sub(*first) as f64 / 1e6;
        Ok(Arrivals {
            count: *count,
            rate: *count as f64 / seconds,
            p50_ms: *p50 as f64 / 1e3,
            p99_ms: *p99 as f64 / 1e3,
        })
    }

    /// Waits until so many arrived since the last `take`, which this is then.
    pub(crate) async fn wait_for(&self, count: usize) -> Result<Arrivals> {
        let started = Instant::now();
        while self.ask("count")?.trim().parse::<usize>()? < count {
            if started.elapsed() > Duration::from_secs(120) {
                return Err(format!("{count} did not arrive within two minutes").into());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.take()
    }

    fn ask(&self, question: &str) -> Result<String> {
        // The answer is there at once, and this way questions and answers stay pairs.
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        let mut input = self
            .child
            .stdin
            .as_ref()
            .ok_or("the receiver has no input")?;
        writeln!(input, "{question}")?;
        let mut answer = String::new();
        output.read_line(&mut answer)?;
        Ok(answer)
    }
}

impl Drop for SinkProcess {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
