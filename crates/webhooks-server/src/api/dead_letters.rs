//! Dead letters: deliveries that were given up.

use axum::Json;
use axum::extract::{Path, State};
use better_auth_webhooks::storage::{DeliveryQuery, Group, GroupBy};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use webhooks_core::{DeadReason, DeliveryState, FailureKind};

use super::deliveries::{asked, counted, page};
use super::delivery_params::{delivery_params, malformed};
use super::query::Query;
use super::shapes::{DeliveryView, PageView};
use super::state::Api;
use crate::access::Caller;
use crate::ops::DeliveryFilter;
use crate::problem::{Problem, ProblemBody};

delivery_params!(ListParams {
    /// JSON that the data of the event contains. Needs `payloads:read`.
    data: Option<String>,
    /// Dead letters of one page, 1 to 200.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
});

/// Dead letters with their attempts, newest first. Needs `deliveries:read`.
#[utoipa::path(
    get, path = "/dead-letters", tag = "dead letters", params(ListParams),
    responses((status = OK, description = "A page", body = PageView<DeliveryView>), ProblemBody),
)]
pub(super) async fn list(
    State(api): State<Api>,
    caller: Caller,
    mut query: Query<ListParams>,
) -> Result<PageView<DeliveryView>, Problem> {
    let filter = dead(query.of.filter())?;
    let asked = asked(
        filter,
        &query.filter,
        query.of.limit,
        query.of.cursor.as_deref(),
    )?;
    let asked = DeliveryQuery {
        with_attempts: true,
        ..asked
    };
    let data = query.of.data.as_deref();
    page(&api, &caller, asked, data, &query.filter).await
}

/// The dead among those that are chosen.
fn dead(filter: DeliveryFilter) -> Result<DeliveryQuery, Problem> {
    if !filter.state.is_empty() {
        return Err(Problem::malformed("state: dead letters are dead"));
    }
    Ok(DeliveryQuery {
        states: vec![DeliveryState::Dead],
        ..filter.query()?
    })
}

delivery_params!(GroupsParams {
    /// What those of a group have in common: one to three of `endpoint_id`, `dead_reason`,
    /// `last_failure` and `event_type`, with commas between them. `endpoint_id,dead_reason` if it is
    /// left out.
    by: Option<String>,
    /// Looks at no more than so many of the newest, at most 1,000,000.
    #[param(minimum = 1, maximum = 1_000_000)]
    at_most: Option<u64>,
});

/// Dead letters in groups, the largest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct GroupsView {
    /// At most 100.
    groups: Vec<GroupView>,
    /// Dead letters that were counted.
    counted: u64,
    /// There may be more than were counted.
    capped: bool,
}

/// So many dead letters have this in common.
#[derive(Debug, Serialize, ToSchema)]
struct GroupView {
    /// What they have in common.
    key: GroupKeyView,
    /// How many there are.
    count: u64,
}

/// What is not grouped by is null.
#[derive(Debug, Serialize, ToSchema)]
struct GroupKeyView {
    /// Their endpoint.
    endpoint_id: Option<String>,
    /// Why they were given up.
    #[schema(value_type = Option<String>)]
    dead_reason: Option<DeadReason>,
    /// Why their last attempt failed.
    #[schema(value_type = Option<String>)]
    last_failure: Option<FailureKind>,
    /// The type of their event.
    event_type: Option<String>,
}

/// Dead letters, counted in groups. Needs `deliveries:read`.
#[utoipa::path(
    get, path = "/dead-letters/groups", tag = "dead letters", params(GroupsParams),
    responses((status = OK, description = "The groups", body = GroupsView), ProblemBody),
)]
pub(super) async fn groups(
    State(api): State<Api>,
    caller: Caller,
    mut query: Query<GroupsParams>,
) -> Result<Json<GroupsView>, Problem> {
    let at_most = counted(query.of.at_most)?;
    let by = match &query.of.by {
        None => vec![GroupBy::EndpointId, GroupBy::DeadReason],
        Some(by) => {
            let by = by.split(',').map(str::parse).collect::<Result<Vec<_>, _>>();
            by.map_err(|error| malformed(&error))?
        }
    };
    let filter = dead(query.of.filter())?;
    let groups = api.ops.count_by(&caller, filter, &by, at_most).await?;
    let view = |group: &Group| GroupView::new(&caller, group);
    Ok(Json(GroupsView {
        groups: groups.groups.iter().map(view).collect(),
        counted: groups.counted,
        capped: groups.capped,
    }))
}

impl GroupView {
    fn new(caller: &Caller, group: &Group) -> Self {
        let key = &group.key;
        Self {
            key: GroupKeyView {
                endpoint_id: key.endpoint_id.as_deref().map(str::to_owned),
                dead_reason: key.dead_reason,
                last_failure: super::shapes::told(caller, key.last_failure),
                event_type: key.event_type.as_ref().map(ToString::to_string),
            },
            count: group.count,
        }
    }
}

/// A dead letter with its attempts. Needs `deliveries:read`.
#[utoipa::path(
    get, path = "/dead-letters/{id}", tag = "dead letters", params(("id" = String, Path, description = "The id of the delivery")),
    responses((status = OK, description = "The dead letter", body = DeliveryView), ProblemBody),
)]
pub(super) async fn get(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<DeliveryView>, Problem> {
    let record = api.ops.dead_letter(&caller, &id).await?;
    Ok(Json(DeliveryView::new(&caller, &record, true)))
}

/// Sends a dead letter again. Needs `deliveries:write`.
#[utoipa::path(
    post, path = "/dead-letters/{id}/replay", tag = "dead letters", params(("id" = String, Path, description = "The id of the delivery")),
    responses((status = ACCEPTED, description = "The delivery", body = DeliveryView), ProblemBody),
)]
pub(super) async fn replay(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<DeliveryView>), Problem> {
    let record = api.ops.replay_dead_letter(&caller, &id).await?;
    let view = DeliveryView::new(&caller, &record, true);
    Ok((StatusCode::ACCEPTED, Json(view)))
}

/// Drops a dead letter. Needs `deliveries:purge`.
#[utoipa::path(
    delete, path = "/dead-letters/{id}", tag = "dead letters", params(("id" = String, Path, description = "The id of the delivery")),
    responses((status = NO_CONTENT, description = "Dropped"), ProblemBody),
)]
pub(super) async fn purge(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    api.ops.purge_dead_letter(&caller, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
