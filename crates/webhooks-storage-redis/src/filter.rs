//! The arguments that say which events and deliveries.

use std::sync::Arc;

use uuid::Uuid;
use webhooks_core::storage::{DeliveryQuery, EventQuery};
use webhooks_core::{EventFilter, EventId, Timestamp};

use crate::args::Args;
use crate::kept_events::name_line;

/// Which events, as `filter.lua` takes it.
fn write_filter(
    args: &mut Args,
    event_type: Option<&EventFilter>,
    tenant: Option<&str>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
) {
    let prefix = event_type.and_then(EventFilter::prefix);
    args.option(event_type.and_then(EventFilter::exact))
        .option(prefix.filter(|prefix| !prefix.is_empty()).as_deref())
        .option(tenant.map(name_line).as_deref())
        .option(from.map(time).as_deref())
        .option(to.map(time).as_deref());
}

/// Which deliveries, of these endpoints, as `scan.lua` takes it. `before` is where to go on.
pub(crate) fn delivery_filter(
    query: &DeliveryQuery,
    endpoints: Option<&[Arc<str>]>,
    before: Option<&str>,
) -> Args {
    let mut args = Args::default();
    let event_type = query.event_type.as_ref();
    let tenant = query.tenant.as_deref();
    write_filter(&mut args, event_type, tenant, query.from, query.to);
    args.option(query.event_id.map(|id| text(id.as_uuid())).as_deref());
    let ids = query.ids.as_ref();
    let ids = ids.map(|ids| falling(ids.iter().map(|id| id.as_uuid())));
    args.list(ids.as_deref());
    args.list(endpoints);
    let states: Vec<_> = query.states.iter().map(|state| state.as_str()).collect();
    let reasons = query.dead_reasons.iter().map(|reason| reason.as_str());
    let failures = query.last_failures.iter().map(|failure| failure.as_str());
    for names in [states, reasons.collect(), failures.collect()] {
        args.list(Some(names.as_slice()).filter(|names| !names.is_empty()));
    }
    args.option(query.last_status.map(|of| of.to_string()).as_deref())
        .option(query.updated_from.map(time).as_deref())
        .option(query.updated_before.map(time).as_deref())
        .option(before);
    args
}

/// Which events, as `list_events.lua` takes it. `before` or `after` is where to go on.
pub(crate) fn event_filter(query: &EventQuery, before: Option<&str>, after: Option<&str>) -> Args {
    let mut args = Args::default();
    let event_type = query.event_type.as_ref();
    let tenant = query.tenant.as_deref();
    write_filter(&mut args, event_type, tenant, query.from, query.to);
    let ids = query.ids.as_ref();
    let ids = ids.map(|ids| falling(ids.iter().map(EventId::as_uuid)));
    args.list(ids.as_deref()).option(before).option(after);
    args
}

/// An id as keys hold it.
pub(crate) fn text(id: Uuid) -> String {
    id.as_hyphenated().to_string()
}

/// Each once, as texts in falling order.
fn falling(ids: impl Iterator<Item = Uuid>) -> Vec<String> {
    let mut ids: Vec<_> = ids.collect();
    ids.sort_unstable_by(|a, b| b.cmp(a));
    ids.dedup();
    ids.into_iter().map(text).collect()
}

fn time(at: Timestamp) -> String {
    at.as_millis().to_string()
}
