//! Requests that start: under a lease, at an open endpoint, within all bounds.

use std::collections::BTreeSet;

use super::Step;
use crate::schedule::{Command, Content, Leased, Request};
use crate::simulation::model::{Key, Running};
use crate::simulation::spy::Asked;
use crate::simulation::trace::fail;
use crate::simulation::world::World;

/// For so many microseconds a tick may be late that counts slow requests.
const TICK: u64 = 260_000;

impl World<'_> {
    pub(super) fn check_starts(&mut self, n: usize, step: &Step<'_>) {
        let mut first = BTreeSet::new();
        let admitted = step
            .asked
            .iter()
            .filter(|asked| matches!(asked, Asked::Admitted { .. }));
        let starts = step.commands.iter().filter_map(|command| match command {
            Command::Start(request) => Some(request),
            _ => None,
        });
        let starts: Vec<_> = starts.collect();
        if admitted.count() != starts.len() {
            fail(
                "what starts was admitted",
                format!("{} requests", starts.len()),
            );
        }
        self.check_limits(n, step);
        for request in starts {
            self.check_start(n, step, request, &mut first);
        }
    }

    fn check_start(
        &mut self,
        n: usize,
        step: &Step<'_>,
        request: &Request,
        first: &mut BTreeSet<Key>,
    ) {
        let view = &step.after[&request.id.lane()];
        let key = (view.endpoint_id.clone(), view.incarnation);
        let carried = self.scheduler(n).carried(request.id);
        self.note(|| {
            let ids: Vec<_> = carried
                .iter()
                .map(|l| l.id.to_string()[26..].to_owned())
                .collect();
            format!("n{n} starts {:?} at {} with {ids:?}", request.id, key.0)
        });
        self.check_lease(n, step, &key, request, &carried);
        self.check_request(n, step, &key, request, &carried);
        self.check_carried(n, step, &key, request, &carried, first);
        self.check_room(n, &key);
        self.waits.remove(&key.0);
        let model = &mut self.nodes[n].model;
        let is_batch = matches!(request.content, Content::Batch(_));
        let lane = model.lane_mut(&key);
        if lane.record.endpoint.batch.is_some() && !is_batch && !carried[0].is_suspect {
            lane.alone = lane.alone.saturating_sub(1);
        }
        let running = Running {
            key,
            started: self.us,
            started_at: step.now.at,
            carried,
            record: model
                .lane(&(view.endpoint_id.clone(), view.incarnation))
                .record
                .clone(),
            losses: model.losses,
            is_batch,
        };
        if model.running.insert(request.id, running).is_some() {
            fail(
                "requests have names of their own",
                format!("{:?}", request.id),
            );
        }
    }

    /// This process holds the leases, and may act on them.
    fn check_lease(
        &self,
        n: usize,
        step: &Step<'_>,
        key: &Key,
        request: &Request,
        carried: &[Leased],
    ) {
        let node = &self.nodes[n];
        if node.leaving.is_some() {
            fail("nothing starts after the end", &key.0);
        }
        if self.us >= node.model.window_ends {
            fail("nothing starts when a beat is overdue", &key.0);
        }
        if request.started_at != step.now.at {
            fail("a request knows when it starts", &key.0);
        }
        for leased in carried {
            let row = &self.ledger.rows[&leased.id];
            let own = Some((node.worker.clone(), leased.token));
            if row.lease != own {
                let is = &row.lease;
                fail(
                    "nothing starts without its lease",
                    format!("{leased:?} of {own:?}: {is:?}"),
                );
            }
            if row.is_ended {
                fail("nothing starts that has ended", format!("{leased:?}"));
            }
            if row.attempts != leased.attempts {
                fail(
                    "attempts are counted",
                    format!("{leased:?}: {}", row.attempts),
                );
            }
            // Clocks of nodes differ by what a beat takes.
            let at = step.now.at.as_millis() + self.clock_error();
            if row.not_before.as_millis() > at {
                fail(
                    "nothing starts before it is due",
                    format!("{leased:?}: {}", row.not_before),
                );
            }
        }
    }

    /// The request is what the endpoint and its deliveries are.
    fn check_request(
        &self,
        n: usize,
        step: &Step<'_>,
        key: &Key,
        request: &Request,
        carried: &[Leased],
    ) {
        let model = &self.nodes[n].model;
        if model.current.get(&key.0) != Some(&key.1) {
            fail("nothing starts at what was replaced", format!("{key:?}"));
        }
        let lane = model.lane(key);
        if let Some(why) = lane.closed(step.now.at) {
            fail(
                "nothing starts at what is closed",
                format!("{}: {why}", key.0),
            );
        }
        if *request.record.endpoint != *lane.record.endpoint
            || request.record.gate.epoch != lane.record.gate.epoch
        {
            fail("a request goes where the endpoint is", &key.0);
        }
        let number = carried.iter().map(|leased| leased.attempts).max().unwrap() + 1;
        if request.number != number || request.delivery_id != carried[0].id {
            fail("a request has its number", format!("{request:?}"));
        }
        for leased in carried {
            if leased.incarnation != key.1 {
                fail(
                    "nothing starts that was made for another",
                    format!("{leased:?}, {key:?}"),
                );
            }
            if !lane.takes_leased(leased) {
                fail("nothing starts that is not taken", format!("{leased:?}"));
            }
        }
        let sent = match &request.content {
            Content::One(event) => vec![event.payload.len()],
            Content::Batch(events) => events.iter().map(|e| e.payload.len()).collect(),
        };
        if sent
            != carried
                .iter()
                .map(|leased| leased.bytes)
                .collect::<Vec<_>>()
        {
            fail("a request carries what it settles", format!("{request:?}"));
        }
    }

    /// How many go in one request, and which.
    fn check_carried(
        &self,
        n: usize,
        step: &Step<'_>,
        key: &Key,
        request: &Request,
        carried: &[Leased],
        first: &mut BTreeSet<Key>,
    ) {
        let model = &self.nodes[n].model;
        let lane = model.lane(key);
        let is_suspect = carried.iter().any(|leased| leased.is_suspect);
        if is_suspect {
            if carried.len() > 1 {
                fail("a suspect is alone in its request", format!("{carried:?}"));
            }
            if self.nodes[n].model.suspect != Some(carried[0].id) {
                fail("a process holds one suspect", format!("{carried:?}"));
            }
        }
        let had_suspect = step.before.lanes.get(&request.id.lane());
        let had_suspect = had_suspect.is_some_and(|v| v.waiting.iter().any(|l| l.is_suspect));
        if first.insert(key.clone()) && had_suspect && !is_suspect {
            fail("a suspect is the first of its lane", format!("{carried:?}"));
        }
        let batch = lane.record.endpoint.batch.filter(|_| !is_suspect);
        let is_batch = matches!(request.content, Content::Batch(_));
        let should = batch.is_some() && lane.alone == 0;
        if is_batch != should {
            let alone = lane.alone;
            fail(
                "what was refused in a batch goes alone",
                format!("{carried:?}: {alone}"),
            );
        }
        let Some(batch) = batch.filter(|_| is_batch) else {
            return;
        };
        let bytes: usize = carried.iter().map(|leased| leased.bytes).sum();
        let is_large = bytes > batch.max_bytes && carried.len() > 1;
        if carried.len() > batch.max_events as usize || is_large {
            fail(
                "a batch has its bounds",
                format!("{} of {bytes} bytes", carried.len()),
            );
        }
        let rest = &step.after[&request.id.lane()].waiting;
        let next = rest.iter().find(|leased| !leased.is_suspect);
        let fits = |next: &Leased| bytes + next.bytes <= batch.max_bytes;
        let is_last = step
            .commands
            .iter()
            .rev()
            .find_map(|command| match command {
                Command::Start(other) if other.id.lane() == request.id.lane() => Some(other.id),
                _ => None,
            });
        if is_last == Some(request.id)
            && carried.len() < batch.max_events as usize
            && next.is_some_and(fits)
        {
            fail("a batch is filled", format!("{carried:?}, {next:?}"));
        }
    }

    /// There is a slot for it.
    fn check_room(&self, n: usize, key: &Key) {
        let (model, settings) = (&self.nodes[n].model, &self.plan.settings);
        let lane = model.lane(key);
        let running = model.running_at(key).count();
        let left = model.left_running(key);
        let most = lane.window.min(settings.max_in_flight_per_endpoint);
        if running + left >= most {
            fail(
                "an endpoint has its cap",
                format!("{}: {running} and {left} of {most}", key.0),
            );
        }
        if model.running.len() >= settings.max_in_flight {
            fail("a process has its slots", model.running.len());
        }
        if let Some(tenant) = &lane.record.endpoint.tenant {
            let of_tenant =
                |r: &&Running| model.lane(&r.key).record.endpoint.tenant.as_ref() == Some(tenant);
            let count = model.running.values().filter(of_tenant).count();
            let half = settings.max_in_flight.div_ceil(2);
            if count >= settings.max_in_flight_per_tenant.unwrap_or(half) {
                fail("a tenant has its share", format!("{tenant}: {count}"));
            }
        }
        self.check_kinds(n, key);
    }

    /// Unproven endpoints have half of the slots, those with longer timeouts a quarter.
    fn check_kinds(&self, n: usize, key: &Key) {
        let (model, settings) = (&self.nodes[n].model, &self.plan.settings);
        let timeout = settings.timeout.as_secs();
        let settled = |r: &&Running| self.us - model.lane(&r.key).changed > TICK;
        let is_late = self.us < self.nodes[n].resumed + 2 * TICK;
        if is_late {
            return;
        }
        if model.is_unproven(key, self.us, 0) {
            let unproven = |r: &&Running| model.is_unproven(&r.key, self.us, TICK);
            let count = model.running.values().filter(unproven).count();
            if count >= settings.max_in_flight.div_ceil(2) {
                fail(
                    "unproven endpoints have half",
                    format!("{}: {count}", key.0),
                );
            }
        }
        if model.is_patient(key, timeout) {
            let patient = |r: &&Running| model.is_patient(&r.key, timeout);
            let running = model.running.values();
            let count = running.filter(settled).filter(patient).count();
            if count >= settings.max_in_flight.div_ceil(4) {
                fail(
                    "patient endpoints have a quarter",
                    format!("{}: {count}", key.0),
                );
            }
        }
    }

    /// Admission is asked with the limit that applies.
    fn check_limits(&self, n: usize, step: &Step<'_>) {
        for asked in &step.asked {
            let Asked::Admitted { endpoint, limit } = asked else {
                continue;
            };
            let lane = self.nodes[n].model.of(endpoint);
            let own = lane.and_then(|lane| lane.record.endpoint.rate_limit);
            if *limit != own.or(self.plan.settings.rate_limit) {
                fail(
                    "the rate limit that applies is asked",
                    format!("{endpoint}: {limit:?}"),
                );
            }
        }
    }

    /// Milliseconds by which nodes may differ about storage time.
    pub(super) fn clock_error(&self) -> i64 {
        i64::try_from(self.plan.latency / 1_000).unwrap() + 1 + self.stepped
    }
}
