//! What happens, as it happens: server-sent events.
//!
//! # What flows
//! A [`Teller`] for each client waits for what comes first: a check of the caller, a heartbeat, numbers, a
//! step of a job, a notice. It sends events through a channel of 16 to the response. A client that reads
//! slowly fills the channel, and the teller waits. Notices meanwhile stay in the ring that all streams of
//! the process share, so a slow client costs no memory of its own. What the ring overwrites before the
//! client gets there is told as `missed`, with the number for those who run the system and without it for
//! a tenant, who must not learn how much happens at others. A client that takes nothing for 60 seconds is
//! given up.
//!
//! # Authority
//! A stream outlives what its caller showed. The teller asks again who the caller is every 30 seconds, and
//! when the key or token ends. It ends the stream with `refused` if it is not taken any more. The check comes
//! first in each turn, so that a busy stream cannot put it off.
//!
//! # Resumption
//! Events have an id that names a position in the ring of this process. A client that comes back sends
//! it as `Last-Event-ID`. If the ring still has what is behind it, the client gets that; otherwise, as
//! after a restart, it gets `missed` without a number, and has to read the listing. A heartbeat moves the
//! id on, too, past notices that the client does not hear.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use better_auth_webhooks::Notice;
use http::{HeaderMap, HeaderName};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{broadcast, mpsc};
use tokio::time::{Interval, MissedTickBehavior, interval};
use utoipa::IntoParams;
use webhooks_core::DeliveryState;

use super::jobs::JobView;
use super::query::{Query, words};
use super::shapes::{NumbersView, told};
use super::standing::Standing;
use super::state::Api;
use crate::access::Caller;
use crate::documents::Kept;
use crate::live::Place;
use crate::measure::OpenStream;
use crate::ops::{Heard, Job, Listener, NoticeFilter, Told, is_seen};
use crate::problem::{Problem, ProblemBody};

/// Between two signs of life: proxies end connections that are silent.
const BEAT: Duration = Duration::from_secs(15);
/// Between two tellings of numbers.
const NUMBERS: Duration = Duration::from_secs(1);
/// Events that are on their way to a client. Notices behind them wait in the ring.
const ON_THEIR_WAY: usize = 16;
/// A client that takes nothing for so long has gone.
const PATIENCE: Duration = Duration::from_secs(60);
/// Endpoints that a stream names at most.
const MOST_ENDPOINTS: usize = 200;

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct StreamParams {
    /// `notices`, `metrics`, `jobs`, with commas between them; `notices` if it is left out.
    topics: Vec<String>,
    /// Notices about these endpoints alone, at most 200.
    endpoint_id: Vec<String>,
    /// Notices about deliveries that became so alone: `delivered`, `scheduled` for another attempt, `dead` or
    /// `cancelled`.
    #[param(value_type = Vec<String>)]
    state: Vec<DeliveryState>,
}

/// What is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Topic {
    Notices,
    Metrics,
    Jobs,
}

/// What happens in the process that answers, as server-sent events: `hello`, then `notice`, `metrics` once a
/// second, `job` after each step of one, `missed` where notices were lost, `ended` with the reason at the
/// end. With `Last-Event-ID` the notices behind that one come first, or `missed`. Needs `deliveries:read`;
/// `metrics` needs `metrics:read`, too, and is the operator's.
#[utoipa::path(
    get, path = "/stream", tag = "numbers",
    params(StreamParams, ("last-event-id" = Option<String>, Header, description = "The id of the last event that came")),
    responses((status = OK, description = "The events", content_type = "text/event-stream", body = String), ProblemBody),
)]
pub(super) async fn stream(
    State(api): State<Api>,
    standing: Standing,
    headers: HeaderMap,
    query: Query<StreamParams>,
) -> Result<Response, Problem> {
    let caller = &standing.caller;
    let (topics, filter) = asked(query.of)?;
    // A tenant of whose stream nothing can be told is refused, and not left to wait.
    if topics.contains(&Topic::Metrics) {
        api.ops.numbers(caller).await?;
    }
    let last_id = headers
        .get("last-event-id")
        .map(|id| id.to_str().unwrap_or_default());
    let (listener, may_have_missed) = api.ops.listen(caller, filter, last_id)?;
    let place = api.live.streams.take(caller.tenant.as_ref())?;
    let (to, mut from) = mpsc::channel(ON_THEIR_WAY);
    let teller = Teller {
        hears_notices: topics.contains(&Topic::Notices),
        jobs: topics.contains(&Topic::Jobs).then(|| api.ops.job_steps()),
        numbers: topics.contains(&Topic::Metrics).then(|| every(NUMBERS)),
        beat: every(BEAT),
        standing,
        listener,
        api,
        to,
    };
    let counted = (place, teller.api.measure.stream());
    tokio::spawn(teller.run(may_have_missed, counted));
    let events = futures_util::stream::poll_fn(move |context| {
        from.poll_recv(context)
            .map(|event| event.map(Ok::<_, Infallible>))
    });
    // Some proxies hold answers back until they are whole.
    let unbuffered = (HeaderName::from_static("x-accel-buffering"), "no");
    Ok(([unbuffered], Sse::new(events)).into_response())
}

/// What a stream is about.
fn asked(of: StreamParams) -> Result<(Vec<Topic>, NoticeFilter), Problem> {
    let count = of.endpoint_id.len();
    if count > MOST_ENDPOINTS {
        let detail = format!("endpoint_id is there {count} times, at most {MOST_ENDPOINTS}");
        return Err(Problem::malformed(detail));
    }
    let topics = match of.topics.is_empty() {
        true => vec![Topic::Notices],
        false => words("topics", &of.topics)?,
    };
    let filter = NoticeFilter {
        endpoint_ids: of.endpoint_id.into_iter().collect(),
        states: of.state,
    };
    Ok((topics, filter))
}

/// Ticks from the next period on; ticks that were not looked at are left out.
fn every(period: Duration) -> Interval {
    let mut interval = interval(period);
    interval.reset();
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// Tells one client what happens.
struct Teller {
    api: Api,
    standing: Standing,
    listener: Listener,
    hears_notices: bool,
    jobs: Option<broadcast::Receiver<Arc<Kept<Job>>>>,
    numbers: Option<Interval>,
    beat: Interval,
    to: mpsc::Sender<Event>,
}

/// Why a stream ends.
#[derive(Clone, Copy, Debug)]
enum End {
    /// The key, or what else the caller showed, is not taken any more.
    Refused,
    /// The server ends.
    Closed,
    /// The storage does not answer.
    Unavailable,
    /// The client has gone.
    Gone,
}

/// What a teller turns to next.
enum Next {
    Heard(Result<Option<Heard>, Problem>),
    Job(Arc<Kept<Job>>),
    Numbers,
    Beat,
    Check,
}

impl Teller {
    /// Tells until one of both ends.
    async fn run(mut self, may_have_missed: bool, _counted: (Place, OpenStream)) {
        let (closer, to) = (self.api.live.closer.clone(), self.to.clone());
        let end = tokio::select! {
            end = self.tell(may_have_missed) => end,
            () = to.closed() => End::Gone,
            () = closer.closed() => End::Closed,
        };
        let reason = match end {
            End::Refused => "refused",
            End::Closed => "closed",
            End::Unavailable => "unavailable",
            End::Gone => return,
        };
        let ended = event("ended", &json!({ "reason": reason }));
        let _gone = to.send_timeout(ended, PATIENCE).await;
    }

    async fn tell(&mut self, may_have_missed: bool) -> End {
        match self.begin(may_have_missed).await {
            Ok(()) => {}
            Err(end) => return end,
        }
        loop {
            let next = self.next().await;
            let told = match next {
                Next::Check if self.standing.holds().await => Ok(()),
                Next::Check => Err(End::Refused),
                Next::Heard(heard) => self.heard(heard).await,
                Next::Job(job) => self.job(&job).await,
                Next::Numbers => self.numbers().await,
                // The id as well: notices that this client does not hear were passed over.
                Next::Beat => {
                    let beat = Event::default().comment("").id(self.listener.id());
                    self.send(beat).await
                }
            };
            if let Err(end) = told {
                return end;
            }
        }
    }

    async fn begin(&mut self, may_have_missed: bool) -> Result<(), End> {
        let hello = json!({ "node": self.listener.node(), "scope": "process" });
        // After a loss it goes on from now; before the notices that come first it would be too early.
        self.send(event("hello", &hello).id(self.listener.id()))
            .await?;
        match may_have_missed && self.hears_notices {
            true => self.send(event("missed", &json!({ "count": null }))).await,
            false => Ok(()),
        }
    }

    /// Waits for the next thing to do.
    async fn next(&mut self) -> Next {
        let numbers = async {
            match &mut self.numbers {
                Some(interval) => interval.tick().await,
                None => std::future::pending().await,
            }
        };
        let heard = async {
            match self.hears_notices {
                true => self.listener.next().await,
                false => std::future::pending().await,
            }
        };
        let (numbers, heard) = (pin!(numbers), pin!(heard));
        tokio::select! {
            biased;
            () = tokio::time::sleep_until(self.standing.until()) => Next::Check,
            _ = self.beat.tick() => Next::Beat,
            _ = numbers => Next::Numbers,
            job = step(self.jobs.as_mut()) => Next::Job(job),
            // Last: where much happens, the others come, too.
            heard = heard => Next::Heard(heard),
        }
    }

    async fn heard(&mut self, heard: Result<Option<Heard>, Problem>) -> Result<(), End> {
        let heard = match heard {
            Ok(Some(heard)) => heard,
            Ok(None) => return Err(End::Closed),
            Err(problem) => {
                tracing::warn!(error = problem.detail(), "a stream ends early");
                return Err(End::Unavailable);
            }
        };
        let event = match heard {
            Heard::Notice(notice) => {
                let json = shown(&self.standing.caller, &notice);
                Event::default().event("notice").data(json)
            }
            Heard::Missed(count) => event("missed", &json!({ "count": count })),
        };
        self.send(event.id(self.listener.id())).await
    }

    async fn job(&self, job: &Kept<Job>) -> Result<(), End> {
        if !is_seen(&self.standing.caller, &job.value) {
            return Ok(());
        }
        let view = serde_json::to_value(JobView::from(job)).unwrap_or_default();
        self.send(event("job", &view)).await
    }

    async fn numbers(&self) -> Result<(), End> {
        match self.api.ops.numbers(&self.standing.caller).await {
            Ok(numbers) => {
                let view = NumbersView::new(&numbers.0, numbers.1);
                let view = serde_json::to_value(view).unwrap_or_default();
                self.send(event("metrics", &view)).await
            }
            // Those of the next second may come.
            Err(problem) => {
                tracing::debug!(error = problem.detail(), "no numbers for a stream");
                Ok(())
            }
        }
    }

    async fn send(&self, event: Event) -> Result<(), End> {
        let sent = self.to.send_timeout(event, PATIENCE).await;
        sent.map_err(|_| End::Gone)
    }
}

/// The next step of a job; never where jobs are not listened to.
async fn step(jobs: Option<&mut broadcast::Receiver<Arc<Kept<Job>>>>) -> Arc<Kept<Job>> {
    if let Some(jobs) = jobs {
        loop {
            match jobs.recv().await {
                Ok(job) => return job,
                // The steps behind those say all that these did.
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => break,
            }
        }
    }
    std::future::pending().await
}

fn event(name: &str, data: &Value) -> Event {
    // Its JSON is on one line, as an event needs it.
    Event::default().event(name).data(data.to_string())
}

/// A notice as this caller sees it.
fn shown(caller: &Caller, notice: &Told) -> String {
    if caller.tenant.is_none() {
        return notice.json.clone();
    }
    let mut shown = notice.notice.clone();
    if let Notice::Delivered { delivery }
    | Notice::Retrying { delivery, .. }
    | Notice::Dead { delivery, .. }
    | Notice::Cancelled { delivery, .. } = &mut shown
    {
        delivery.failure = told(caller, delivery.failure);
    }
    serde_json::to_string(&shown).unwrap_or_default()
}
