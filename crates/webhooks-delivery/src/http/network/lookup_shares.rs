//! How many names are looked up at once, and by whom.
//!
//! A look-up blocks a thread for as long as name servers let it, and cannot be ended: so all share a
//! number of them, of which one customer, and one domain, has a part.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::name_rules;

/// Look-ups at once.
/// Each may hold a thread of Tokio's blocking pool (512 by default) for as long as `getaddrinfo`
/// retries, which is often 10 to 30 s.
const ALL: usize = 64;
/// Those of them for one customer, and for names of one domain.
/// An eighth: it takes eight customers, or eight domains, with dead name servers to hold all.
const SHARE: usize = 8;
/// Shares that are known before those that nobody uses are looked for.
const MANY: usize = 256;

/// The look-ups that may run at once.
pub(crate) struct LookupShares {
    all: Arc<Semaphore>,
    shares: Mutex<Shares>,
}

#[derive(Default)]
struct Shares {
    /// Forgotten with the last look-up that has, or waits for, a place in it.
    /// Weak, so that customers of long ago take no memory.
    used: HashMap<Sharer, Weak<Semaphore>>,
    /// Twice what the last look left, so that looks cost little however many shares there are.
    prune_at: usize,
}

#[derive(PartialEq, Eq, Hash)]
enum Sharer {
    Customer(String),
    Domain(String),
}

/// The right to one look-up. It is given back when it is dropped.
#[derive(Debug)]
pub(crate) struct LookupPlace {
    _permits: [Option<OwnedSemaphorePermit>; 3],
}

impl LookupShares {
    /// Waits until this customer may look up this name.
    pub(crate) async fn place(&self, customer: &str, host: &str) -> LookupPlace {
        let domain = Sharer::Domain(domain(host).to_owned());
        // The own share first: who waits for that holds nothing that others wait for.
        let own = take(self.share(Sharer::Customer(customer.to_owned()))).await;
        let domain = take(self.share(domain)).await;
        // Last, so that a place of all is only ever held by a look-up that runs.
        let all = take(Arc::clone(&self.all)).await;
        LookupPlace {
            _permits: [own, domain, all],
        }
    }

    fn share(&self, sharer: Sharer) -> Arc<Semaphore> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = shares.used.get(&sharer).and_then(Weak::upgrade) {
            return share;
        }
        if shares.used.len() >= shares.prune_at.max(MANY) {
            shares.used.retain(|_, share| share.strong_count() > 0);
            shares.prune_at = 2 * shares.used.len();
        }
        let share = Arc::new(Semaphore::new(SHARE));
        shares.used.insert(sharer, Arc::downgrade(&share));
        share
    }
}

/// Never none, since nobody closes it.
async fn take(share: Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    share.acquire_owned().await.ok()
}

impl Default for LookupShares {
    fn default() -> Self {
        Self {
            all: Arc::new(Semaphore::new(ALL)),
            shares: Mutex::default(),
        }
    }
}

impl fmt::Debug for LookupShares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LookupShares")
            .field("free", &self.all.available_permits())
            .finish_non_exhaustive()
    }
}

/// The domain that one owner likely has: two labels, or three below a country's short second level
/// such as `co.uk`. With a wrong guess strangers share a part, or an owner has several.
fn domain(host: &str) -> &str {
    let host = name_rules::relative(host);
    let labels: Vec<_> = host.rsplit('.').collect();
    let count = match labels.as_slice() {
        [top, second, ..] if top.len() == 2 && second.len() <= 3 => 3,
        _ => 2,
    };
    let length: usize = labels.iter().take(count).map(|label| label.len() + 1).sum();
    host.get((host.len() + 1).saturating_sub(length)..)
        .unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn a_domain_is_what_one_owner_likely_has() {
        for (host, expected) in [
            ("example.com", "example.com"),
            ("example.com.", "example.com"),
            ("a.b.example.com", "example.com"),
            ("hooks.example.co.uk", "example.co.uk"),
            ("a.example.com.au", "example.com.au"),
            ("co.uk", "co.uk"),
            ("a.hooks.example.de", "example.de"),
            ("localhost", "localhost"),
            ("", ""),
        ] {
            assert_eq!(domain(host), expected, "{host}");
        }
    }

    #[test]
    fn one_customer_and_one_domain_have_a_part() {
        let shares = LookupShares::default();
        let place = |customer: &str, host: &str| shares.place(customer, host).now_or_never();
        let mut taken: Vec<_> = (0..8)
            .map(|n| place("slow", &format!("{n}.slow{n}.example")).unwrap())
            .collect();
        assert!(place("slow", "another.example").is_none());
        taken.extend((0..8).map(|n| place(&format!("c{n}"), &format!("{n}.one.example")).unwrap()));
        assert!(place("c9", "9.one.example").is_none());
        assert!(place("c9", "9.other.example").is_some());
        drop(taken);
        assert!(place("slow", "9.one.example").is_some());
    }

    #[test]
    fn who_waits_for_his_own_share_keeps_nobody_from_a_domain() {
        let shares = LookupShares::default();
        let place = |customer: &str, host: &str| shares.place(customer, host).now_or_never();
        let taken: Vec<_> = (0..8)
            .map(|n| place("slow", &format!("{n}.slow{n}.example")).unwrap())
            .collect();
        let mut waiting: Vec<_> = (0..20)
            .map(|_| Box::pin(shares.place("slow", "hooks.good.example")))
            .collect();
        for waits in &mut waiting {
            assert!(waits.now_or_never().is_none());
        }
        assert!(place("good", "hooks.good.example").is_some());
        drop(taken);
    }

    #[test]
    fn shares_that_nobody_uses_are_forgotten() {
        let shares = LookupShares::default();
        for n in 0..10_000 {
            let name = format!("{n}.example.com");
            assert!(shares.place(&name, &name).now_or_never().is_some());
        }
        assert!(shares.shares.lock().unwrap().used.len() <= 2 * MANY);
    }
}
