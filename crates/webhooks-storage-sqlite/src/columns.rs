//! How values of the core stand in columns.

use std::str::FromStr;

use rusqlite::types::Type;
use uuid::Uuid;
use webhooks_core::{DeliveryState, Timestamp};

/// The number of a state. They are part of the schema.
pub(crate) const fn state_code(state: DeliveryState) -> i64 {
    match state {
        DeliveryState::Blocked => 0,
        DeliveryState::Ready => 1,
        DeliveryState::Scheduled => 2,
        DeliveryState::Leased => 3,
        DeliveryState::Delivered => 4,
        DeliveryState::Dead => 5,
        DeliveryState::Cancelled => 6,
    }
}

/// The state with this number.
pub(crate) fn state_of(row: &rusqlite::Row<'_>, index: usize) -> rusqlite::Result<DeliveryState> {
    let code: i64 = row.get(index)?;
    let mut all = DeliveryState::ALL.iter().copied();
    all.find(|state| state_code(*state) == code)
        .ok_or_else(|| wrong(index, Type::Integer))
}

pub(crate) fn time_at(row: &rusqlite::Row<'_>, index: usize) -> rusqlite::Result<Timestamp> {
    row.get(index).map(Timestamp::from_millis)
}

pub(crate) fn some_time_at(
    row: &rusqlite::Row<'_>,
    index: usize,
) -> rusqlite::Result<Option<Timestamp>> {
    let at: Option<i64> = row.get(index)?;
    Ok(at.map(Timestamp::from_millis))
}

/// The bits of an id.
pub(crate) fn uuid_at(row: &rusqlite::Row<'_>, index: usize) -> rusqlite::Result<Uuid> {
    let bytes = row.get_ref(index)?.as_blob()?;
    Uuid::from_slice(bytes).map_err(|_| wrong(index, Type::Blob))
}

/// A number that is never negative.
pub(crate) fn number_at<T: TryFrom<i64>>(
    row: &rusqlite::Row<'_>,
    index: usize,
) -> rusqlite::Result<T> {
    let number: i64 = row.get(index)?;
    T::try_from(number).map_err(|_| wrong(index, Type::Integer))
}

/// A value of an enum by its name.
pub(crate) fn named_at<T: FromStr>(
    row: &rusqlite::Row<'_>,
    index: usize,
) -> rusqlite::Result<Option<T>> {
    let Some(name) = row.get_ref(index)?.as_str_or_null()? else {
        return Ok(None);
    };
    name.parse().map(Some).map_err(|_| wrong(index, Type::Text))
}

/// Somebody put something else there.
pub(crate) fn wrong(index: usize, found: Type) -> rusqlite::Error {
    rusqlite::Error::InvalidColumnType(index, String::new(), found)
}

/// A number as a column holds it. None that is stored comes near the bound.
pub(crate) fn long(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}
