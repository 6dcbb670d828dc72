//! L3: the bare commands that deliveries in Redis cannot do without, in the same widths, 100
//! deliveries in one pipeline, on two connections: the row and its place among the leased, then
//! both gone and the attempt logged.

use better_auth_webhooks::DeliveryId;
use bytes::{BufMut, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::Result;
use crate::load::{new_event, now};
use crate::measure::{Reached, Stopwatch};

const CONNECTIONS: usize = 2;
const ROWS: usize = 100;
const DELIVERIES: usize = 20_000;
const WORKER: &str = "worker_01900000-0000-7000-8000-000000000000";

pub(crate) async fn run(url: &str) -> Result<Reached> {
    let address = url.trim_start_matches("redis://").to_owned();
    let mut tasks = JoinSet::new();
    let watch = Stopwatch::start()?;
    for _ in 0..CONNECTIONS {
        tasks.spawn(work(TcpStream::connect(address.clone()).await?));
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    watch.end(DELIVERIES)
}

async fn work(mut stream: TcpStream) -> Result {
    stream.set_nodelay(true)?;
    let event = new_event("endpoint_1", false)?.event;
    let payload = std::str::from_utf8(&event.payload)?;
    for _ in 0..DELIVERIES / CONNECTIONS / ROWS {
        let ids = [(); ROWS].map(|()| DeliveryId::new(now()).to_string());
        let mut commands = BytesMut::new();
        ids.iter().for_each(|id| store(&mut commands, id, payload));
        call(&mut stream, &commands, 2 * ROWS).await?;
        commands.clear();
        ids.iter().for_each(|id| end(&mut commands, id));
        call(&mut stream, &commands, 3 * ROWS).await?;
    }
    Ok(())
}

/// The row of a delivery, and its place among the leased.
fn store(commands: &mut BytesMut, id: &str, payload: &str) {
    let key = format!("limit:{id}");
    let time = "1750000000000";
    let fields = [
        ["state", "leased"],
        ["endpoint", "endpoint_1"],
        ["event", id],
        ["seq", "0000000000000001"],
        ["sort", time],
        ["sent", time],
        ["due", time],
        ["updated", time],
        ["priority", "1"],
        ["max_retries", "11"],
        ["attempts", "0"],
        ["token", "1"],
        ["worker", WORKER],
        ["payload", payload],
    ];
    push(commands, &[&["HSET", &key], fields.as_flattened()].concat());
    push(commands, &["SADD", "limit:leased", id]);
}

/// Both gone, and the attempt logged.
fn end(commands: &mut BytesMut, id: &str) {
    push(commands, &["SREM", "limit:leased", id]);
    push(commands, &["DEL", &format!("limit:{id}")]);
    let attempt = "1 1750000000000 20000 204";
    push(commands, &["RPUSH", &format!("limit:log:{id}"), attempt]);
}

/// A command in the protocol of Redis.
fn push(commands: &mut BytesMut, words: &[&str]) {
    commands.put_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        commands.put_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
}

/// Sends them together and reads one line of answer to each.
async fn call(stream: &mut TcpStream, commands: &[u8], answers: usize) -> Result {
    stream.write_all(commands).await?;
    let (mut lines, mut buffer) = (0, vec![0; 16 << 10]);
    while lines < answers {
        let read = stream.read(&mut buffer).await?;
        let read = buffer.get(..read).unwrap_or_default();
        if read.is_empty() || read.contains(&b'-') {
            return Err("Redis refused a command".into());
        }
        lines += read.iter().filter(|byte| **byte == b'\n').count();
    }
    Ok(())
}
