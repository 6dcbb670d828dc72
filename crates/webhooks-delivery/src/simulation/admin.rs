//! What happens from outside happens.

use std::sync::Arc;

use webhooks_core::WebhookEndpoint;
use webhooks_core::storage::spi::{EndpointGate, GateChange};
use webhooks_core::storage::{DisabledBy, Expected, WebhookStorage};

use super::happening::{Change, Happening, Switch};
use super::storage::done;
use super::world::World;

impl World<'_> {
    pub(super) fn happens(&mut self, planned: usize) {
        let plan = self.plan;
        let happening = &plan.happenings[planned].happening;
        if !matches!(happening, Happening::Send(_)) {
            self.note(|| format!("{happening:?}"));
        }
        match happening {
            Happening::Send(send) => self.send(send),
            Happening::Save(endpoint, change) => self.save(*endpoint, change),
            Happening::Delete(endpoint) => {
                let id = &plan.endpoints[*endpoint].endpoint.id;
                let now = self.true_time();
                let deleted = self.storage.delete_endpoint(id, Expected::Any, now);
                let deleted = done(deleted).unwrap();
                self.note(|| format!("endpoint {endpoint}: {deleted:?}"));
                self.account_definitions();
                self.check_counts();
            }
            Happening::Register(endpoint) => self.register(*endpoint),
            Happening::Gate(endpoint, switch) => self.switch(*endpoint, *switch),
            Happening::Kill(node) => self.kill(*node),
            Happening::Pause(node, ms) => {
                self.nodes[*node].paused_until = self.us + ms * 1_000;
                self.nodes[*node].resumed = self.us + ms * 1_000;
            }
            Happening::Start(node) => self.start_node(*node),
            Happening::ShutDown(node, ms) => {
                if self.nodes[*node].paused_until <= self.us {
                    self.shut_down(*node, *ms);
                }
            }
            Happening::Outage(ms) => {
                self.outage = self.ms() + ms;
                self.outages += 1;
            }
            Happening::Refuse(endpoint, ms) => {
                let id = plan.endpoints[*endpoint].endpoint.id.as_str().into();
                self.refused = Some((id, self.ms() + ms));
                self.outages += 1;
            }
            Happening::Step(ms) => {
                self.step += ms;
                self.stepped += ms.abs();
            }
        }
        self.wake_who_waits();
    }

    /// Registers an endpoint as it was planned, unless it is there.
    pub(super) fn register(&mut self, endpoint: usize) {
        let endpoint = &self.plan.endpoints[endpoint].endpoint;
        let _saved = done(self.storage.save_definition(endpoint, Expected::Absent)).unwrap();
        self.account_definitions();
        self.wake_who_waits();
    }

    fn save(&mut self, endpoint: usize, change: &Change) {
        let id = &self.plan.endpoints[endpoint].endpoint.id;
        let Some(record) = done(self.storage.endpoint_record(id)).unwrap() else {
            return;
        };
        let mut endpoint = WebhookEndpoint::clone(&record.endpoint);
        match change.clone() {
            Change::Url(url) => endpoint.url = url,
            Change::Filters(events) => endpoint.events = events,
            Change::Batch(batch) => endpoint.batch = batch,
            Change::RateLimit(limit) => endpoint.rate_limit = limit,
            Change::Timeout(seconds) => endpoint.timeout_seconds = seconds,
            Change::Tenant(tenant) => endpoint.tenant = tenant,
            Change::Nothing => {}
        }
        let _saved = done(self.storage.save_definition(&endpoint, Expected::Any)).unwrap();
        self.account_definitions();
    }

    fn switch(&mut self, endpoint: usize, switch: Switch) {
        let change = match switch {
            Switch::Pause => GateChange::Pause,
            Switch::Resume => GateChange::Resume,
            Switch::Disable => GateChange::Disable(DisabledBy::Operator),
            Switch::Enable => GateChange::Enable,
            Switch::Reset => GateChange::Reset,
        };
        self.change_gate(endpoint, change);
    }

    fn change_gate(&mut self, endpoint: usize, change: GateChange) {
        let endpoint_id: Arc<str> = self.plan.endpoints[endpoint].endpoint.id.as_str().into();
        let gate = EndpointGate {
            endpoint_id,
            epoch: None,
            change,
        };
        let now = self.true_time();
        done(self.storage.set_gates(&[gate], now)).unwrap();
    }

    /// From now on all is well: nodes and the storage work, and endpoints take all.
    pub(super) fn recover(&mut self) {
        self.note(|| "all is well from now on".to_owned());
        self.outage = 0;
        self.refused = None;
        for endpoint in 0..self.plan.endpoints.len() {
            self.change_gate(endpoint, GateChange::Enable);
            self.change_gate(endpoint, GateChange::Resume);
        }
        for n in 0..self.nodes.len() {
            self.nodes[n].resumed = self.nodes[n].paused_until.min(self.us);
            self.nodes[n].paused_until = 0;
            self.start_node(n);
        }
        self.wake_who_waits();
    }
}
