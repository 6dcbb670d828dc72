/// Which endpoints have series of their own, the metrics `webhooks_endpoint_*`, with their id as
/// `endpoint_id`. The other metrics count them all the same, and have no such label.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndpointLabels {
    /// None.
    #[default]
    Off,
    /// So many of those with the most attempts since the process started. All that had one are
    /// counted, which takes about 1 KiB of memory for each; the series of one that is overtaken end, and
    /// go on where they are if it comes back.
    TopN(usize),
    /// These alone, by id.
    These(Vec<String>),
}
