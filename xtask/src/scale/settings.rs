//! What a run is of.

use super::costs::{Engine, POSTGRES};
use super::tenants::Placed;
use crate::Result;

/// All that a run depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) seed: u64,
    pub(super) engine: Engine,
    pub(super) databases: usize,
    pub(super) placed: Placed,
    /// Events a second, each for one endpoint.
    pub(super) rate: f64,
    /// The simulated time that is measured. As much as a hanging request takes goes before it.
    pub(super) seconds: f64,
    pub(super) tenants: usize,
    /// The n-th tenant has a share as 1 / n^skew.
    pub(super) skew: f64,
    /// Of all databases together; each database has at least one of its own.
    pub(super) processes: usize,
    /// `max_in_flight` of a process.
    pub(super) places: usize,
    /// The mean of the response time, in milliseconds.
    pub(super) response: f64,
    /// The share of requests that get no response.
    pub(super) hanging: f64,
    /// The timeout that ends these, in seconds.
    pub(super) timeout: f64,
    /// Pages of listings a second.
    pub(super) listings: f64,
    pub(super) on_replica: bool,
    /// How old what a listing shows may be, in milliseconds, before it counts as stale.
    pub(super) stale: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            seed: 1,
            engine: POSTGRES,
            databases: 1,
            placed: Placed::LargestFirst,
            rate: 100_000.0,
            seconds: 10.0,
            tenants: 10_000,
            skew: 1.0,
            processes: 32,
            places: 1_024,
            response: 100.0,
            hanging: 0.001,
            timeout: 5.0,
            listings: 500.0,
            on_replica: true,
            stale: 2.0,
        }
    }
}

impl Settings {
    /// Changes what the texts `name=value` name.
    pub(super) fn parse(args: &[String]) -> Result<Self> {
        let mut settings = Self::default();
        for arg in args {
            settings
                .set(arg)
                .ok_or_else(|| format!("scale takes no {arg}; {NAMES}"))?;
        }
        Ok(settings)
    }

    fn set(&mut self, arg: &str) -> Option<()> {
        let (name, value) = arg.split_once('=')?;
        let number: f64 = value.parse().ok()?;
        let is_allowed = number.is_finite() && number >= 0.0;
        let count = value.parse::<usize>().ok().filter(|count| *count > 0);
        match name {
            _ if !is_allowed => return None,
            "seed" => self.seed = value.parse().ok()?,
            "rate" if number > 0.0 => self.rate = number,
            "seconds" if number > 0.0 => self.seconds = number,
            "tenants" => self.tenants = count?,
            "skew" => self.skew = number,
            "processes" => self.processes = count?,
            "places" => self.places = count?,
            "response" => self.response = number,
            "hanging" if number <= 1.0 => self.hanging = number,
            "timeout" => self.timeout = number,
            "listings" => self.listings = number,
            "stale" => self.stale = number,
            "cores" => self.engine.cores = count?,
            "contention" => self.engine.contention = number,
            _ => return None,
        }
        Some(())
    }
}

const NAMES: &str = "it takes NAME=VALUE of seed, rate, seconds, tenants, skew, processes, places, \
    response, hanging, timeout, listings, stale, cores and contention";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_is_changed_and_what_is_not_there_is_refused() {
        let parse = |text: &str| Settings::parse(&[text.to_owned()]);
        assert!((parse("rate=10").unwrap().rate - 10.0).abs() < 1e-9);
        assert_eq!(parse("cores=4").unwrap().engine.cores, 4);
        for wrong in [
            "rate", "rate=0", "rate=x", "rate=-1", "cores=0", "colour=1", "skew=inf",
        ] {
            assert!(parse(wrong).unwrap_err().contains(wrong), "{wrong}");
        }
    }
}
