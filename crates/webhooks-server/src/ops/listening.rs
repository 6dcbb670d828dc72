//! What happens, as it happens: notices, numbers and jobs of this process.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use better_auth_webhooks::Notice;
use tokio::sync::broadcast;
use tokio::time::Instant;
use webhooks_core::DeliveryState;

use super::job::Job;
use super::notice_ring::{Behind, NoticeRing, Position, Told};
use super::operations::{Ops, sees};
use super::shared::Numbers;
use crate::access::{Caller, Scope};
use crate::documents::Kept;
use crate::problem::Problem;

/// How long a tenant's endpoints are taken for what they were; a change of one is heard at once.
const KNOWN_FOR: Duration = Duration::from_secs(1);
/// How long numbers are shown for what they were, however many listen.
const NUMBERS_FOR: Duration = Duration::from_millis(900);

/// Which notices.
#[derive(Debug)]
pub(crate) struct NoticeFilter {
    /// About these endpoints; empty means any.
    pub(crate) endpoint_ids: HashSet<String>,
    /// About deliveries that became so; empty means any notice.
    pub(crate) states: Vec<DeliveryState>,
}

/// Somebody who listens to notices.
#[derive(Debug)]
pub(crate) struct Listener {
    ops: Ops,
    caller: Caller,
    ring: Arc<NoticeRing>,
    filter: NoticeFilter,
    /// Everything up to here was heard.
    position: Position,
    /// What comes next.
    ahead: VecDeque<Arc<Told>>,
    own: Own,
}

/// The endpoints of the caller's tenant, as they were a moment ago.
#[derive(Debug, Default)]
struct Own {
    ids: HashSet<Arc<str>>,
    read_at: Option<Instant>,
}

/// What a listener hears.
#[derive(Debug)]
pub(crate) enum Heard {
    Notice(Arc<Told>),
    /// Some that are not there any more: how many, if that can be told.
    Missed(Option<u64>),
}

impl Ops {
    /// Listens to notices from now on, or from behind the one with this id. Second: whether it may have
    /// missed some since that one.
    pub(crate) fn listen(
        &self,
        caller: &Caller,
        filter: NoticeFilter,
        after: Option<&str>,
    ) -> Result<(Listener, bool), Problem> {
        caller.needs(Scope::DeliveriesRead)?;
        let ring = self.ring()?;
        let found = after.map(|id| ring.find(id));
        let listener = Listener {
            ops: self.clone(),
            caller: caller.clone(),
            filter,
            position: found.flatten().unwrap_or_else(|| ring.newest()),
            ring,
            ahead: VecDeque::new(),
            own: Own::default(),
        };
        Ok((listener, found == Some(None)))
    }

    /// The notices of this process, which are kept from the first listener on.
    fn ring(&self) -> Result<Arc<NoticeRing>, Problem> {
        let mut ring = self
            .shared
            .ring
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(ring) = &*ring {
            return Ok(ring.clone());
        }
        let started = NoticeRing::start(self.system.notices()?);
        *ring = Some(started.clone());
        Ok(started)
    }

    /// The numbers of the whole system, as they were a moment ago at most.
    pub(crate) async fn numbers(&self, caller: &Caller) -> Result<Numbers, Problem> {
        let mut numbers = self.shared.numbers.lock().await;
        if let Some((read_at, numbers)) = &*numbers
            && read_at.elapsed() < NUMBERS_FOR
        {
            self.may_see_numbers(caller)?;
            return Ok(numbers.clone());
        }
        let read: Numbers = Arc::new(self.metrics(caller).await?);
        *numbers = Some((Instant::now(), read.clone()));
        Ok(read)
    }

    /// Jobs that run in this process, as they go on.
    pub(crate) fn job_steps(&self) -> broadcast::Receiver<Arc<Kept<Job>>> {
        self.runner.steps()
    }

    /// The ids of the endpoints that a caller may see.
    async fn own_ids(&self, caller: &Caller) -> Result<HashSet<Arc<str>>, Problem> {
        let all = self.system.list_endpoints().await?;
        let own = all.iter().filter(|record| sees(caller, record));
        Ok(own.map(|of| of.endpoint.id.as_str().into()).collect())
    }
}

impl Listener {
    /// Which process is listened to.
    pub(crate) fn node(&self) -> &str {
        self.ring.node()
    }

    /// Behind what was heard, for whoever comes back.
    pub(crate) fn id(&self) -> String {
        self.ring.id(self.position)
    }

    /// The next notice that passes; `None` once the system has ended. Safe to cancel.
    pub(crate) async fn next(&mut self) -> Result<Option<Heard>, Problem> {
        loop {
            while let Some(told) = self.ahead.front().cloned() {
                let heard = self.hears(&told).await?;
                self.position = told.position();
                self.ahead.pop_front();
                if heard.is_some() {
                    return Ok(heard);
                }
            }
            match self.ring.behind(self.position) {
                Behind::Told(told) => self.ahead = told.into(),
                Behind::Lost(count, position) => {
                    self.position = position;
                    return Ok(Some(self.missed(count)));
                }
                Behind::Nothing if self.ring.wait(self.position).await => {}
                Behind::Nothing => return Ok(None),
            }
        }
    }

    /// What this caller hears of a notice.
    async fn hears(&mut self, told: &Arc<Told>) -> Result<Option<Heard>, Problem> {
        if let Notice::Missed { notices } = told.notice {
            return Ok(Some(self.missed(notices)));
        }
        let (endpoint_id, filter) = (told.endpoint_id(), &self.filter);
        let passes = (filter.endpoint_ids.is_empty()
            || endpoint_id.is_some_and(|id| filter.endpoint_ids.contains(&**id)))
            && (filter.states.is_empty()
                || told
                    .state()
                    .is_some_and(|state| filter.states.contains(&state)));
        let is_theirs = match endpoint_id {
            _ if !passes => false,
            _ if self.caller.tenant.is_none() => true,
            // The number of deliveries of an event is of all its endpoints.
            None => false,
            Some(id) => {
                let is_change = matches!(told.notice, Notice::EndpointChanged { .. });
                self.is_own(id, is_change).await?
            }
        };
        Ok(is_theirs.then(|| Heard::Notice(told.clone())))
    }

    /// Whether an endpoint is the tenant's. One that was deleted is for as long as it is remembered.
    async fn is_own(&mut self, id: &Arc<str>, has_changed: bool) -> Result<bool, Problem> {
        let was_own = self.own.ids.contains(id);
        let is_known = |read_at: Instant| read_at.elapsed() < KNOWN_FOR;
        if has_changed || !self.own.read_at.is_some_and(is_known) {
            self.own.ids = self.ops.own_ids(&self.caller).await?;
            self.own.read_at = Some(Instant::now());
        }
        Ok(was_own && has_changed || self.own.ids.contains(id))
    }

    /// Tenants are not told how many: most were others'.
    fn missed(&self, count: u64) -> Heard {
        Heard::Missed(self.caller.tenant.is_none().then_some(count))
    }
}
