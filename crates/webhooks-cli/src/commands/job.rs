//! A job, from when it was made until it has ended.

use std::pin::pin;
use std::time::Duration;

use serde::Deserialize;
use tokio::signal::ctrl_c;

use crate::client::{Reply, Request};
use crate::failure::Failure;
use crate::output::{Column, safe};
use crate::session::Session;

/// What is shown of one.
pub(super) const FIELDS: &[Column] = &[
    Column::new("ID", "/id"),
    Column::new("ACTION", "/action"),
    Column::new("FILTER", "/filter"),
    Column::state("STATE", "/state"),
    Column::new("STOPPING", "/stopping"),
    Column::new("MATCHED", "/matched"),
    Column::new("MATCHED CAPPED", "/matched_capped"),
    Column::new("CHANGED", "/changed"),
    Column::new("RATE PER SECOND", "/rate_per_second"),
    Column::new("PROBLEM", "/problem"),
    Column::new("CREATED BY", "/created_by"),
    Column::new("CREATED AT", "/created_at"),
    Column::new("UPDATED AT", "/updated_at"),
    Column::new("FINISHED AT", "/finished_at"),
];

/// Between two looks, at first and in the long run.
const FIRST: Duration = Duration::from_millis(50);
const LAST: Duration = Duration::from_secs(1);
/// How long after the first Ctrl-C a second one is waited for.
const SECOND_THOUGHT: Duration = Duration::from_secs(3);

/// What is read of a job.
#[derive(Deserialize)]
struct Job {
    id: String,
    state: String,
    matched: u64,
    changed: u64,
    problem: Option<String>,
}

/// Waits until a job has ended, with a bar, and shows it.
///
/// # Errors
///
/// A job that failed, or was stopped.
pub(super) async fn watch(session: &Session, id: &str) -> Result<(), Failure> {
    let reply = end(session, id).await?;
    show(session, &reply)
}

/// Waits until a job has ended that this command has made, and shows it.
///
/// After one Ctrl-C the command ends and the job goes on; a second one, shortly after, stops the job. A job on
/// a storage runs in this process, so that the first one only warns there.
///
/// # Errors
///
/// As [`watch`], and the Ctrl-C.
pub(super) async fn attend(session: &Session, id: &str) -> Result<(), Failure> {
    let mut ended = pin!(end(session, id));
    tokio::select! {
        // The first: nothing is told before it is listened to.
        biased;
        _ = ctrl_c() => {}
        reply = &mut ended => return show(session, &reply?),
    }
    let detached = async {
        if session.client.is_local() {
            let text = format!("{id} runs in this process and goes on; Ctrl-C again stops it");
            session.output.warn(&text);
            return std::future::pending().await;
        }
        let text = format!("{id} goes on: webhooks jobs watch {id}. Ctrl-C again stops it");
        session.output.warn(&text);
        tokio::time::sleep(SECOND_THOUGHT).await;
    };
    tokio::select! {
        biased;
        _ = ctrl_c() => {}
        reply = &mut ended => return show(session, &reply?),
        () = detached => return Err(Failure::interrupted()),
    }
    match session
        .client
        .send(Request::post(["jobs", id, "stop"]))
        .await
    {
        Ok(_) => session.output.warn("stopping"),
        // It has ended meanwhile.
        Err(failure) if failure.is_conflict() => {}
        Err(failure) => return Err(failure.about(id)),
    }
    tokio::select! {
        biased;
        _ = ctrl_c() => Err(Failure::interrupted()),
        reply = &mut ended => show(session, &reply?),
    }
}

/// The job once it has ended.
async fn end(session: &Session, id: &str) -> Result<Reply, Failure> {
    let (bar, mut pause, mut is_told) = (session.output.progress(0), FIRST, false);
    loop {
        let reply = session.client.send(Request::get(["jobs", id])).await?;
        let job: Job = reply.read()?;
        bar.set_length(job.matched.max(job.changed));
        bar.set_position(job.changed);
        if job.state != "running" {
            bar.finish_and_clear();
            return Ok(reply);
        }
        if !is_told && bar.is_hidden() {
            session.output.say(&format!("{} goes on", safe(&job.id)));
            is_told = true;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LAST);
    }
}

/// Shows a job that has ended.
fn show(session: &Session, reply: &Reply) -> Result<(), Failure> {
    session.reply(reply, FIELDS)?;
    let job: Job = reply.read()?;
    match (job.state.as_str(), job.problem) {
        ("done", _) => Ok(()),
        (_, Some(problem)) => Err(Failure::failed(format!("{} failed: {problem}", job.id))),
        (state, None) => Err(Failure::failed(format!("{} is {state}", job.id))),
    }
}
