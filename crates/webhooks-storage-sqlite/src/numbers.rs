/// The numbers of the one row of `webhook_meta`, none of which is given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Numbers {
    /// Of the last change of any endpoint.
    pub(crate) revision: i64,
    /// Of the last change of any definition.
    pub(crate) definitions: i64,
    pub(crate) incarnations: i64,
    /// Of the delivery or replay that was made last.
    pub(crate) place: i64,
    pub(crate) event: i64,
    pub(crate) endpoint: i64,
    pub(crate) document: i64,
    /// They have changed since they were read.
    pub(crate) is_changed: bool,
}

pub(crate) const READ: &str = "SELECT revision, definitions, incarnations, place, event, endpoint, \
    document FROM webhook_meta";

impl Numbers {
    pub(crate) fn of(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            revision: row.get(0)?,
            definitions: row.get(1)?,
            incarnations: row.get(2)?,
            place: row.get(3)?,
            event: row.get(4)?,
            endpoint: row.get(5)?,
            document: row.get(6)?,
            is_changed: false,
        })
    }
}
