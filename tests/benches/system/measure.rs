//! Rates, processor time, medians.

use std::time::Duration;

use tokio::time::Instant;

use crate::Result;

/// What one run reached.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reached {
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
    pub(crate) fn start() -> Result<Self> {
        Ok(Self {
            started: Instant::now(),
            cpu: cpu_time()?,
        })
    }

    pub(crate) fn end(self, deliveries: usize) -> Result<Reached> {
        let count = deliveries as f64;
        let cpu = cpu_time()?.saturating_sub(self.cpu);
        Ok(Reached {
            rate: count / self.started.elapsed().as_secs_f64(),
            cpu_us: cpu.as_secs_f64() * 1e6 / count,
        })
    }
}

/// The processor time of this process so far, in ticks of 10 ms (proc(5), utime and stime).
fn cpu_time() -> Result<Duration> {
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
    let ticks = ticks.sum::<std::result::Result<u64, _>>()?;
    Ok(Duration::from_millis(10 * ticks))
}

/// The processor time of all threads that a process has, to the nanosecond (the first field of
/// schedstat).
pub(crate) fn threads_time(process: u32) -> Result<Duration> {
    let mut nanos = 0;
    for task in std::fs::read_dir(format!("/proc/{process}/task"))? {
        let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
        nanos += text.split(' ').next().unwrap_or_default().parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanos))
}

/// The median of what some runs reached, in rate and in processor time.
pub(crate) fn median_of(runs: &[Reached]) -> Reached {
    let each = |of: fn(&Reached) -> f64| median(runs.iter().map(of));
    Reached {
        rate: each(|run| run.rate),
        cpu_us: each(|run| run.cpu_us),
    }
}

/// The middle one, or the mean of the two in the middle; 0 of none.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let at = |n: usize| sorted.get(n).copied().unwrap_or_default();
    let last = sorted.len().saturating_sub(1);
    f64::midpoint(at(last / 2), at(last.div_ceil(2)))
}
