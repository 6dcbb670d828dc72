//! Serves a router on a listener, within bounds: connections, headers, and the time that headers take.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// Connections at a time. More wait in the system's own queue.
const MAX_CONNECTIONS: usize = 1_024;
/// How long a request's headers may take to come.
const HEADERS: Duration = Duration::from_secs(8);
/// How long a request's headers may be, in bytes; more are answered with 431.
const MAX_HEADERS: usize = 16 << 10;
/// After the system had no descriptor for a connection: another may be free by then.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop`, and then until what has begun is answered, or `patience` is over.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()>,
    patience: Duration,
) {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    tokio::pin!(stop);
    loop {
        let accepted = async {
            // First the place: what is accepted must be served.
            let place = places.clone().acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            accepted = accepted => accepted,
            () = &mut stop => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let router = router.clone().layer(axum::Extension(ConnectInfo(peer)));
        let connection = graceful.watch(connection(stream, router));
        tokio::spawn(async move {
            // What a client does wrong is its own affair.
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(patience, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("some requests were not answered in time");
    }
}

/// One connection, which is ended by whoever watches it.
fn connection(
    stream: TcpStream,
    router: Router,
) -> http1::Connection<TokioIo<TcpStream>, TowerToHyperService<Router>> {
    // Answers are small and whole: to wait for more of them only delays each.
    let _delays = stream.set_nodelay(true);
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .max_buf_size(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
}
