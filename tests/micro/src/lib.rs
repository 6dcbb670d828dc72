//! The small steps of a delivery, one by one: `cargo xtask bench micro` times them, and
//! `cargo xtask callgrind` counts their instructions.

mod endpoints;
mod queue;
mod signatures;

/// A failure to set a step up, or one that it returned.
pub type Error = Box<dyn std::error::Error>;

/// One run of a step. What it makes goes into [`std::hint::black_box`].
pub type Step = Box<dyn FnMut()>;

/// A step that can be measured.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// What it is, and of which size.
    pub name: &'static str,
    /// Makes everything that the step needs.
    pub set_up: fn() -> Result<Step, Error>,
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// All steps.
pub const CASES: &[Case] = &[
    case("hmac_300_B", || signatures::fresh_hmac(300)),
    case("hmac_4_KiB", || signatures::fresh_hmac(4 << 10)),
    case("hmac_64_KiB", || signatures::fresh_hmac(64 << 10)),
    case("sign_300_B", || signatures::sign(300)),
    case("sign_4_KiB", || signatures::sign(4 << 10)),
    case("sign_64_KiB", || signatures::sign(64 << 10)),
    case("verify_300_B", || signatures::verify(300)),
    case("verify_4_KiB", || signatures::verify(4 << 10)),
    case("verify_64_KiB", || signatures::verify(64 << 10)),
    case("verify_standard_300_B", || signatures::verify_standard(300)),
    case("standardwebhooks_crate_300_B", || {
        signatures::standardwebhooks_crate(300)
    }),
    case("match_10_endpoints", || endpoints::unmatched(10)),
    case("match_1000_endpoints", || endpoints::unmatched(1_000)),
    case("match_100000_endpoints", || endpoints::unmatched(100_000)),
    case("filter_1000_of_100000_endpoints", || {
        endpoints::filtered(100_000)
    }),
    case("breaker_100000_endpoints", || endpoints::breaker(100_000)),
    case("limiter_100000_endpoints", || endpoints::limiter(100_000)),
    case("envelope_300_B", queue::envelope),
    case("memory_enqueue_claim_settle_100", queue::life),
];

const fn case(name: &'static str, set_up: fn() -> Result<Step, Error>) -> Case {
    Case { name, set_up }
}

/// The step of this name.
///
/// # Errors
///
/// When there is none.
pub fn find(name: &str) -> Result<Case, Error> {
    let found = CASES.iter().find(|case| case.name == name);
    found
        .copied()
        .ok_or_else(|| format!("there is no step {name}").into())
}
