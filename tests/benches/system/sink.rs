//! The receiver, in a process of its own: responds with 204 at once, counts, and notes how old what
//! arrives is. What is posted to `/hang` gets no response.

use std::convert::Infallible;
use std::io::BufRead;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket};

use crate::Result;
use crate::load::{STAMP, micros_now};

/// Connections that wait to be accepted, as many as a server in production lets wait. What is over
/// would be dialled again only after a second.
const BACKLOG: u32 = 1_024;

/// What arrived since it was last asked.
#[derive(Debug, Default)]
struct Arrived {
    count: u64,
    /// Microseconds since 1970.
    first: u64,
    last: u64,
    /// Ages in microseconds, of what carries a stamp.
    ages: Vec<u32>,
}

impl Arrived {
    fn note(&mut self, sent: u64) {
        self.count += 1;
        self.last = micros_now();
        if self.count == 1 {
            self.first = self.last;
        }
        if sent > 0 {
            let age = self.last.saturating_sub(sent);
            self.ages.push(u32::try_from(age).unwrap_or(u32::MAX));
        }
    }

    /// `count first last p50 p99`.
    fn tell(mut self) -> String {
        self.ages.sort_unstable();
        let at = |percent: usize| {
            let rank = (self.ages.len() * percent).div_ceil(100).saturating_sub(1);
            self.ages.get(rank).copied().unwrap_or_default()
        };
        let Self {
            count, first, last, ..
        } = self;
        format!("{count} {first} {last} {} {}", at(50), at(99))
    }
}

/// Prints the port, then answers `count` and `take` on its input until that ends.
pub(crate) async fn run() -> Result {
    let socket = TcpSocket::new_v4()?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    let listener = socket.listen(BACKLOG)?;
    println!("{}", listener.local_addr()?.port());
    let arrived = Arc::new(Mutex::new(Arrived::default()));
    tokio::spawn(accept(listener, arrived.clone()));
    let asked = tokio::task::spawn_blocking(move || {
        for line in std::io::stdin().lock().lines() {
            let mut arrived = arrived.lock().unwrap_or_else(PoisonError::into_inner);
            match line?.as_str() {
                "count" => println!("{}", arrived.count),
                _ => {
                    let taken = std::mem::take(&mut *arrived);
                    drop(arrived);
                    println!("{}", taken.tell());
                }
            }
        }
        Ok(())
    });
    asked.await?
}

async fn accept(listener: TcpListener, arrived: Arc<Mutex<Arrived>>) {
    while let Ok((stream, _)) = listener.accept().await {
        drop(stream.set_nodelay(true));
        let arrived = arrived.clone();
        let service = service_fn(move |request| take(request, arrived.clone()));
        let serving = hyper::server::conn::http1::Builder::new();
        tokio::spawn(serving.serve_connection(TokioIo::new(stream), service));
    }
}

async fn take(
    request: Request<Incoming>,
    arrived: Arc<Mutex<Arrived>>,
) -> std::result::Result<Response<Empty<Bytes>>, Infallible> {
    if request.uri().path() == "/hang" {
        std::future::pending::<()>().await;
    }
    // A body that breaks off is the sender's failure, which it sees itself.
    if let Ok(body) = request.into_body().collect().await {
        let sent = stamp(&body.to_bytes());
        let mut arrived = arrived.lock().unwrap_or_else(PoisonError::into_inner);
        arrived.note(sent);
    }
    let mut response = Response::new(Empty::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

/// The time in a body that [`crate::load::Data`] made; 0 if there is none.
fn stamp(body: &[u8]) -> u64 {
    let mut places = body.windows(STAMP.len());
    let after = places.position(|part| part == STAMP.as_bytes());
    let digits = after.and_then(|at| body.get(at + STAMP.len()..));
    let digits = digits.unwrap_or_default().iter();
    digits
        .take_while(|byte| byte.is_ascii_digit())
        .fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
}
