//! A worker process, from the outside.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::eventually::eventually;
use crate::ledger::Acknowledged;
use crate::server::Kind;
use crate::worker_process::LOADED;

/// What a worker is to do.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) kind: Kind,
    pub(crate) url: String,
    pub(crate) namespace: String,
    /// Events per second; 0 only delivers.
    pub(crate) rate: u32,
    /// Connections of its pool.
    pub(crate) connections: usize,
    /// The delay before the first retry.
    pub(crate) retry: Duration,
    /// A program that runs the worker, with its arguments.
    pub(crate) through: Vec<String>,
}

/// See the module. It is killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Worker {
    child: Child,
    input: Option<ChildStdin>,
    said: Arc<Said>,
    reader: Option<JoinHandle<()>>,
}

/// What it printed, its acknowledgements aside.
#[derive(Debug, Default)]
struct Said {
    up: AtomicBool,
    hushed: AtomicBool,
    refused: AtomicUsize,
    unmatched: AtomicUsize,
}

impl Worker {
    pub(crate) fn start(order: &Order, acknowledged: Arc<Acknowledged>) -> Self {
        let me = std::env::current_exe().unwrap();
        let mut command = match order.through.split_first() {
            Some((program, args)) => {
                let mut command = Command::new(program);
                command.args(args).arg(me);
                command
            }
            None => Command::new(me),
        };
        command.args([
            "--worker",
            order.kind.as_str(),
            &order.url,
            &order.namespace,
        ]);
        command.arg(order.rate.to_string());
        command.arg(order.connections.to_string());
        command.arg(order.retry.as_millis().to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        // A clock that is off is that of the wall, as it would be on a real node.
        command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        command.env("DONT_FAKE_MONOTONIC", "1");
        let mut child = command.spawn().unwrap();
        let said = Arc::new(Said::default());
        let output = child.stdout.take().unwrap();
        let reader = {
            let said = said.clone();
            std::thread::spawn(move || read(output, &said, &acknowledged))
        };
        Self {
            input: child.stdin.take(),
            child,
            said,
            reader: Some(reader),
        }
    }

    pub(crate) fn wait_until_up(&self) {
        eventually("the worker is up", Duration::from_secs(30), || {
            self.said.up.load(Ordering::SeqCst)
        });
    }

    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Sends that ended in an error.
    pub(crate) fn refused(&self) -> usize {
        self.said.refused.load(Ordering::SeqCst)
    }

    /// Events that were acknowledged without a delivery for each endpoint that takes them.
    pub(crate) fn unmatched(&self) -> usize {
        self.said.unmatched.load(Ordering::SeqCst)
    }

    /// Asks it to send nothing more.
    pub(crate) fn hush(&mut self) {
        self.input.as_mut().unwrap().write_all(b"hush\n").unwrap();
    }

    pub(crate) fn is_hushed(&self) -> bool {
        self.said.hushed.load(Ordering::SeqCst)
    }

    /// Asks it to end, and waits for that.
    pub(crate) fn end(mut self) {
        drop(self.input.take());
        eventually("the worker ends when told", Duration::from_secs(30), || {
            !self.is_alive()
        });
        let status = self.child.wait().unwrap();
        assert!(status.success(), "a worker ended with {status}");
    }

    /// Sends it a signal such as `STOP`.
    pub(crate) fn signal(&self, signal: &str) {
        let kill = format!("kill -s {signal} {}", self.child.id());
        let status = Command::new("sh").args(["-c", &kill]).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if let Some(reader) = self.reader.take() {
            drop(reader.join());
        }
    }
}

fn read(output: ChildStdout, said: &Said, acknowledged: &Acknowledged) {
    let mut output = BufReader::new(output);
    let mut line = String::new();
    while output.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
        // A line that breaks off was being written when the process died.
        let Some(whole) = line.strip_suffix('\n') else {
            return;
        };
        let mut words = whole.split(' ');
        match words.next() {
            Some("ack") => {
                let took = words.next().unwrap().parse().unwrap();
                let deliveries: Vec<_> = words.collect();
                if deliveries.len() != LOADED.len() {
                    said.unmatched.fetch_add(1, Ordering::SeqCst);
                }
                acknowledged.note(deliveries, Duration::from_millis(took));
            }
            Some("refused") => {
                said.refused.fetch_add(1, Ordering::SeqCst);
            }
            Some("up") => said.up.store(true, Ordering::SeqCst),
            Some("hushed") => said.hushed.store(true, Ordering::SeqCst),
            _ => eprintln!("worker: {whole}"),
        }
        line.clear();
    }
}
