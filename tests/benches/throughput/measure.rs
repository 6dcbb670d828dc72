//! Rates, processor time, and the receiver's process.

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::time::Instant;

/// What one run reached.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figure {
    /// Deliveries a second.
    pub(crate) rate: f64,
    /// Processor time of this process per delivery, in microseconds.
    pub(crate) cpu_us: f64,
}

/// Measures from its start to `end`.
pub(crate) struct Stopwatch {
    started: Instant,
    cpu: Duration,
}

impl Stopwatch {
    pub(crate) fn start() -> Result<Self, Box<dyn Error>> {
        Ok(Self {
            started: Instant::now(),
            cpu: cpu_time()?,
        })
    }

    pub(crate) fn end(self, deliveries: usize) -> Result<Figure, Box<dyn Error>> {
        let count = f64::from(u32::try_from(deliveries)?);
        let cpu = cpu_time()?.saturating_sub(self.cpu);
        Ok(Figure {
            rate: count / self.started.elapsed().as_secs_f64(),
            cpu_us: cpu.as_secs_f64() * 1e6 / count,
        })
    }
}

/// The processor time of this process so far, in ticks of 10 ms (proc(5), utime and stime).
fn cpu_time() -> Result<Duration, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat
        .rsplit_once(')')
        .ok_or("no command in /proc/self/stat")?
        .1;
    let ticks = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(str::parse::<u64>);
    Ok(Duration::from_millis(10 * ticks.sum::<Result<u64, _>>()?))
}

/// The median by rate.
pub(crate) fn median(figures: &[Figure]) -> Figure {
    let mut sorted = figures.to_vec();
    sorted.sort_by(|a, b| a.rate.total_cmp(&b.rate));
    sorted.get(sorted.len() / 2).copied().unwrap_or(Figure {
        rate: 0.0,
        cpu_us: 0.0,
    })
}

/// The receiver, in a process of its own; it ends with this one.
pub(crate) struct SinkProcess {
    pub(crate) url: String,
    child: Child,
}

impl SinkProcess {
    pub(crate) fn start() -> Result<Self, Box<dyn Error>> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("--sink")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().ok_or("the sink has no output")?;
        let mut url = String::new();
        BufReader::new(output).read_line(&mut url)?;
        Ok(Self {
            url: url.trim().to_owned(),
            child,
        })
    }
}

impl Drop for SinkProcess {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
