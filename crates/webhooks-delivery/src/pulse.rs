//! What a process does by the clock: it beats, follows changed endpoints, and sweeps.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};
use webhooks_core::storage::spi::Beat;
use webhooks_core::{Clock, Result};

use crate::dispatcher::Dispatcher;
use crate::moment;
use crate::retrying::error_source;

/// Between two beats. Well under what the storage asks for, since the same call tells of changed
/// endpoints and of events in the outbox, which both take effect within a second.
const BEAT: Duration = Duration::from_millis(800);
/// Between two looks at requests that have become slow.
const TICK: Duration = Duration::from_millis(250);
/// Between two sweeps that found nothing more to do.
const SWEEP: Duration = Duration::from_secs(60);
/// Rows of one sweep.
const SWEEP_ROWS: usize = 1_000;

/// Beats once and reads all endpoints: after that the process can send.
pub(crate) async fn first_beat(dispatcher: &Arc<Dispatcher>) -> Result<()> {
    beat(dispatcher).await?;
    dispatcher.refresh().await
}

/// Beats for as long as the system lives.
pub(crate) async fn keep_beating(dispatcher: Arc<Dispatcher>) {
    let mut ticks = tokio::time::interval(BEAT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match beat(&dispatcher).await {
            Ok(beat) => {
                if beat.revision != dispatcher.directory.revision() {
                    dispatcher.try_refresh().await;
                }
            }
            Err(error) => {
                tracing::warn!(%error, source = error_source(&error), "cannot beat");
            }
        }
    }
}

async fn beat(dispatcher: &Arc<Dispatcher>) -> Result<Beat> {
    let asked = moment::now();
    let leases = dispatcher.settings.workers > 0;
    let beat = if leases {
        dispatcher.identity.beat(&*dispatcher.storage).await?
    } else {
        dispatcher.storage.beat(None, None).await?
    };
    dispatcher.clock.set(beat.now, asked);
    if beat.lost {
        tracing::warn!(
            worker = %dispatcher.worker(),
            "the leases of this process were lost; what it had in hand may run twice"
        );
        dispatcher.leases_lost();
    }
    if leases {
        let had_stopped = !dispatcher.heartbeat.is_valid(moment::now());
        dispatcher.heartbeat.beaten(asked);
        if had_stopped {
            dispatcher.dispatch();
            dispatcher.work.notify_one();
        }
    }
    if beat.outbox {
        dispatcher.outbox.notify_one();
        dispatcher.fan_out_work.notify_one();
    }
    if beat.rescued > 0 {
        tracing::warn!(
            deliveries = beat.rescued,
            "took back the deliveries of dead workers"
        );
        dispatcher.work.notify_one();
    }
    Ok(beat)
}

/// Looks after requests that become slow.
pub(crate) async fn keep_ticking(dispatcher: Arc<Dispatcher>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if !dispatcher.needs_ticks() {
            // An idle process is not woken for nothing.
            dispatcher.hand.filled().await;
        }
        dispatcher.tick();
    }
}

/// Sweeps what the retention no longer keeps.
pub(crate) async fn keep_sweeping(dispatcher: Arc<Dispatcher>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        loop {
            if !dispatcher.clock.is_told() {
                break;
            }
            let (retention, now) = (&dispatcher.settings.retention, dispatcher.clock.now());
            let began = Instant::now();
            match dispatcher.storage.sweep(retention, SWEEP_ROWS, now).await {
                // A pause as long as the work, so that a large sweep does not crowd out deliveries
                // and yet keeps up with many.
                Ok(swept) if swept.more => tokio::time::sleep(began.elapsed()).await,
                Ok(_) => break,
                Err(error) => {
                    tracing::warn!(%error, source = error_source(&error), "cannot sweep");
                    break;
                }
            }
        }
    }
}
