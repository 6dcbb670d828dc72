//! A way to Redis that loses answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Passes everything on, and loses the answers to as many scripts as it is told: Redis has run
/// them, and the connection ends before the client hears of it.
pub struct Proxy {
    pub port: u16,
    to_lose: Arc<AtomicUsize>,
    pub lost: Arc<AtomicUsize>,
}

impl Proxy {
    pub async fn start(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self {
            port: listener.local_addr().unwrap().port(),
            to_lose: Arc::default(),
            lost: Arc::default(),
        };
        let (to_lose, lost) = (proxy.to_lose.clone(), proxy.lost.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&target).await.unwrap();
                tokio::spawn(pass_on(client, server, to_lose.clone(), lost.clone()));
            }
        });
        proxy
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn lose_next(&self, answers: usize) {
        self.to_lose.store(answers, Ordering::SeqCst);
    }
}

async fn pass_on(
    mut client: TcpStream,
    mut server: TcpStream,
    to_lose: Arc<AtomicUsize>,
    lost: Arc<AtomicUsize>,
) {
    let (mut request, mut answer) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    let mut doomed = false;
    loop {
        tokio::select! {
            read = client.read(&mut request) => {
                let Ok(length @ 1..) = read else { return };
                let is_script = request[..length].windows(4).any(|bytes| bytes == b"EVAL");
                let take = |n: usize| n.checked_sub(1);
                doomed |= is_script
                    && to_lose.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_ok();
                if server.write_all(&request[..length]).await.is_err() {
                    return;
                }
            }
            read = server.read(&mut answer) => {
                let Ok(length @ 1..) = read else { return };
                if doomed {
                    lost.fetch_add(1, Ordering::SeqCst);
                    return;
                }
                if client.write_all(&answer[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}
