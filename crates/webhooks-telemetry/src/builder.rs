use crate::endpoint_labels::EndpointLabels;
use crate::telemetry::Telemetry;

/// Sets a [`Telemetry`] up.
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until it is built"]
pub struct TelemetryBuilder {
    endpoint_labels: EndpointLabels,
    storage: String,
}

impl Telemetry {
    /// One without series of single endpoints, with everything at zero.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Sets one up.
    pub fn builder() -> TelemetryBuilder {
        TelemetryBuilder::default()
    }
}

impl Default for Telemetry {
    fn default() -> Self {
        Self::new()
    }
}

impl TelemetryBuilder {
    /// Which endpoints have series of their own. Defaults to none.
    ///
    /// ```
    /// use webhooks_telemetry::{EndpointLabels, Telemetry};
    ///
    /// let telemetry = Telemetry::builder().endpoint_labels(EndpointLabels::TopN(100)).build();
    /// ```
    pub fn endpoint_labels(mut self, labels: EndpointLabels) -> Self {
        self.endpoint_labels = labels;
        self
    }

    /// What `webhooks_build_info` calls the storage, such as `postgres`. Defaults to nothing.
    pub fn storage(mut self, name: impl Into<String>) -> Self {
        self.storage = name.into();
        self
    }

    /// Makes it, with everything at zero.
    #[must_use]
    pub fn build(self) -> Telemetry {
        Telemetry::with(self.endpoint_labels, self.storage)
    }
}
