/// What making deliveries needs to know of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KnownEndpoint {
    pub(crate) seq: i64,
    pub(crate) incarnation: i64,
    pub(crate) is_deleted: bool,
}
