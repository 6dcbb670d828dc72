//! Who sends how much, and in which database each tenant is.

use super::random::Random;

/// How tenants come to their databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placed {
    /// By a hash of their id, of so many values, which are dealt out in turn: 16 are the partitions of
    /// Redis, very many are a plain hash.
    ByHash(usize),
    /// The largest first, each into the database that has least: by a table that the host keeps.
    LargestFirst,
}

/// Tenants by size, the largest first.
#[derive(Debug)]
pub(super) struct Tenants {
    /// The sum of the shares up to and with each.
    sums: Vec<f64>,
    /// The database of each.
    databases: Vec<usize>,
    /// The share of the largest.
    pub(super) largest: f64,
    /// The largest share of any database.
    pub(super) busiest: f64,
}

impl Tenants {
    /// The n-th has a share as 1 / n^skew.
    pub(super) fn new(
        count: usize,
        skew: f64,
        databases: usize,
        placed: Placed,
        seed: u64,
    ) -> Self {
        let weights: Vec<f64> = (1..=count).map(|n| (n as f64).powf(-skew)).collect();
        let total: f64 = weights.iter().sum();
        let shares: Vec<f64> = weights.iter().map(|weight| weight / total).collect();
        let mut random = Random::new(seed);
        let mut loads = vec![0.0; databases];
        let mut places = Vec::with_capacity(count);
        let mut sums = Vec::with_capacity(count);
        let mut sum = 0.0;
        for share in &shares {
            let place = match placed {
                Placed::ByHash(values) => random.below(values) % databases,
                Placed::LargestFirst => least(&loads),
            };
            if let Some(load) = loads.get_mut(place) {
                *load += share;
            }
            places.push(place);
            sum += share;
            sums.push(sum);
        }
        Self {
            sums,
            databases: places,
            largest: shares.first().copied().unwrap_or_default(),
            busiest: loads.into_iter().fold(0.0, f64::max),
        }
    }

    /// The database of a tenant that is drawn by its share.
    pub(super) fn draw(&self, random: &mut Random) -> usize {
        let part = random.part();
        let at = self.sums.partition_point(|sum| *sum <= part);
        // The sum of all may miss 1 by a rounding.
        let found = self.databases.get(at).or(self.databases.last());
        found.copied().unwrap_or_default()
    }
}

/// The first of those that have least.
fn least(loads: &[f64]) -> usize {
    let by_load = loads.iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1));
    by_load.map_or(0, |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_drawn_has_the_shares_of_the_databases() {
        let tenants = Tenants::new(1_000, 1.0, 4, Placed::LargestFirst, 1);
        let mut random = Random::new(2);
        let mut drawn = [0_u32; 4];
        for _ in 0..100_000 {
            drawn[tenants.draw(&mut random)] += 1;
        }
        let most = f64::from(drawn.into_iter().max().unwrap()) / 100_000.0;
        assert!((most - tenants.busiest).abs() < 0.01, "{drawn:?}");
    }

    #[test]
    fn the_largest_tenant_bounds_what_placing_can_do() {
        for databases in [1, 2, 4, 8, 16, 64] {
            let best = Tenants::new(10_000, 1.0, databases, Placed::LargestFirst, 1);
            let hashed = Tenants::new(10_000, 1.0, databases, Placed::ByHash(1 << 20), 1);
            let even = 1.0 / databases as f64;
            let bound = best.largest.max(even);
            assert!((best.busiest - bound).abs() < 0.001, "{databases}");
            assert!(hashed.busiest >= best.busiest - 1e-9, "{databases}");
        }
    }
}
