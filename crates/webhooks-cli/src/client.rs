//! Speaks the HTTP API: to a server, or to a storage that this process opens. Commands cannot tell which.

mod local;
mod remote;
mod reply;
mod request;

use std::time::Duration;

use axum::body::Body;
use http_body_util::{BodyExt, Limited};

use self::local::Local;
use self::remote::Remote;
pub(crate) use self::reply::Reply;
pub(crate) use self::request::Request;
use crate::failure::{Failure, Problem};
use crate::settings::Target;

/// The longest answer that is not read as a stream, in bytes.
const MAX_REPLY: usize = 64 << 20;
/// How long an answer that is not a stream may take. The server takes 10 s at most.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whoever answers requests.
///
/// Both ways take the same requests and give the same answers, headers and problems, since the second one runs
/// the routes of the server in this process. So no command does anything by itself that the API does not.
pub(crate) enum Client {
    /// A server.
    Remote(Remote),
    /// A server of this process alone, on a storage that it has opened.
    Local(Box<Local>),
}

impl Client {
    /// Gets ready to ask. A storage is opened; a server is not called yet.
    pub(crate) async fn open(target: &Target) -> Result<Self, Failure> {
        Ok(match target {
            Target::Server { url, key } => Self::Remote(Remote::new(url, key.as_ref())?),
            Target::Storage { url, network } => {
                Self::Local(Box::new(Local::open(url, *network).await?))
            }
        })
    }

    /// What the person who asks should know.
    pub(crate) fn warning(&self) -> Option<&'static str> {
        match self {
            Self::Remote(remote) if remote.is_open() => {
                Some("the key goes to the server in the clear: its URL begins with http://")
            }
            Self::Remote(_) | Self::Local(_) => None,
        }
    }

    /// Whether it is a storage that this process has opened.
    pub(crate) const fn is_local(&self) -> bool {
        matches!(self, Self::Local(_))
    }

    /// Asks, and reads the whole answer, within bounds of time and size.
    ///
    /// # Errors
    ///
    /// As [`stream`](Self::stream), an answer that is too long, and one that does not come in time.
    pub(crate) async fn send(&self, request: Request) -> Result<Reply, Failure> {
        let asked = async {
            let response = self.stream(request).await?;
            let (parts, body) = response.into_parts();
            let body = collect(body).await?;
            Ok(Reply {
                status: parts.status,
                headers: parts.headers,
                body,
            })
        };
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(reply) => reply,
            Err(late) => Err(Failure::unreachable("the server does not answer", &late)),
        }
    }

    /// Asks, and leaves the body of the answer to be read as it comes.
    ///
    /// # Errors
    ///
    /// A problem that the server answers, and whatever keeps it from answering.
    pub(crate) async fn stream(&self, request: Request) -> Result<http::Response<Body>, Failure> {
        let response = match self {
            Self::Remote(remote) => remote.call(request).await?,
            Self::Local(local) => local.call(request).await?,
        };
        if response.status().is_success() {
            return Ok(response);
        }
        Err(problem(response).await)
    }

    /// Gives back what was opened.
    pub(crate) async fn close(self) {
        if let Self::Local(local) = self {
            local.close().await;
        }
    }
}

/// The failure that an answer tells of.
async fn problem(response: http::Response<Body>) -> Failure {
    let (status, body) = (response.status(), collect(response.into_body()).await);
    // What stands between here and the server answers in its own words, which are of no use.
    let problem = body
        .ok()
        .and_then(|body| serde_json::from_slice(&body).ok());
    Failure::problem(status, &problem.unwrap_or_else(Problem::default))
}

/// A whole body.
async fn collect(body: Body) -> Result<bytes::Bytes, Failure> {
    let collected = Limited::new(body, MAX_REPLY).collect().await;
    let collected =
        collected.map_err(|error| Failure::unreachable("the answer ends early", &*error))?;
    Ok(collected.to_bytes())
}
