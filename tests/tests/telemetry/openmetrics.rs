//! Reads the text format of OpenMetrics as a strict scraper would.

use std::collections::{BTreeMap, HashSet};

/// A scrape: each sample by its name and labels, as they are written.
#[derive(Debug, Default)]
pub(crate) struct Scrape(BTreeMap<String, f64>);

impl Scrape {
    /// Reads a scrape; panics at what a scraper would refuse.
    pub(crate) fn read(text: &str) -> Self {
        let mut lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.pop(), Some("# EOF"), "it ends with its mark");
        let (mut scrape, mut families) = (Self::default(), HashSet::new());
        let (mut family, mut kind) = ("", "");
        for line in lines {
            if let Some(help) = line.strip_prefix("# HELP ") {
                family = help.split(' ').next().unwrap();
                assert!(families.insert(family.to_owned()), "{family} comes once");
            } else if let Some(declared) = line.strip_prefix("# TYPE ") {
                let (name, of) = declared.split_once(' ').unwrap();
                assert_eq!(name, family);
                kind = of;
            } else {
                scrape.take(line, family, kind);
            }
        }
        scrape.check_histograms();
        scrape
    }

    fn take(&mut self, line: &str, family: &str, kind: &str) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let name = series.split('{').next().unwrap();
        let suffix = name.strip_prefix(family).unwrap_or("?");
        let suffixes: &[&str] = match kind {
            "counter" => &["_total"],
            "gauge" => &[""],
            "histogram" => &["_bucket", "_count", "_sum"],
            "info" => &["_info"],
            _ => panic!("{family} is a {kind}"),
        };
        assert!(suffixes.contains(&suffix), "{line} in {family}");
        let value: f64 = value.parse().unwrap();
        assert!(value >= 0.0, "{line}");
        let before = self.0.insert(series.to_owned(), value);
        assert!(before.is_none(), "{series} comes once");
    }

    /// Buckets only grow, and the last holds all.
    fn check_histograms(&self) {
        for (series, count) in &self.0 {
            let Some((name, labels)) = series.split_once("_count") else {
                continue;
            };
            let labels = labels.trim_matches(['{', '}']);
            let bucket = |bound: &str| match labels {
                "" => format!("{name}_bucket{{le=\"{bound}\"}}"),
                labels => format!("{name}_bucket{{le=\"{bound}\",{labels}}}"),
            };
            assert_eq!(self.0.get(&bucket("+Inf")), Some(count), "{series}");
        }
    }

    /// The value of one series; panics if it is not there.
    pub(crate) fn value(&self, series: &str) -> f64 {
        let value = self.0.get(series);
        *value.unwrap_or_else(|| panic!("{series} is not in {:#?}", self.names()))
    }

    /// Whether there is such a series.
    pub(crate) fn has(&self, series: &str) -> bool {
        self.0.contains_key(series)
    }

    /// The sum of all series of a name.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        let of_name = |series: &str| series.split('{').next() == Some(name);
        let all = self.0.iter().filter(|(series, _)| of_name(series));
        all.map(|(_, value)| value).sum()
    }

    fn names(&self) -> HashSet<&str> {
        self.0.keys().filter_map(|s| s.split('{').next()).collect()
    }
}
