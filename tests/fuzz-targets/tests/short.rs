//! Every target over its corpus and some thousand changes of it, drawn from a printed seed.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test fails by panicking, and shows what made it fail"
)]

use std::path::Path;

use fastrand::Rng;
use webhooks_fuzz_targets::TARGETS;

/// Another seed for the changes; the default is the same in every run.
const SEED_VARIABLE: &str = "WEBHOOKS_FUZZ_SEED";
const DEFAULT_SEED: u64 = 0x5eed;
const CHANGES: usize = 4_000;

/// Shows the input if its target panics.
struct Shown<'a>(&'a [u8]);

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the input was {:?}", self.0.escape_ascii().to_string());
        }
    }
}

fn run(name: &str) {
    let (_, target) = TARGETS.into_iter().find(|(n, _)| *n == name).unwrap();
    let target = |input: &[u8]| {
        let _shown = Shown(input);
        target(input);
    };
    let corpus = corpus(name);
    for input in &corpus {
        target(input);
    }
    let seed = std::env::var(SEED_VARIABLE).map_or(DEFAULT_SEED, |seed| seed.parse().unwrap());
    eprintln!(
        "{name}: {} inputs, {CHANGES} changes, {SEED_VARIABLE}={seed}",
        corpus.len()
    );
    let mut rng = Rng::with_seed(seed);
    for _ in 0..CHANGES {
        target(&changed(&corpus, &mut rng));
    }
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(name);
    let mut files: Vec<_> = folder
        .read_dir()
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    // The order of a folder is not the same everywhere.
    files.sort();
    assert!(files.len() > 5, "{} has no corpus", folder.display());
    files
        .iter()
        .map(|file| std::fs::read(file).unwrap())
        .collect()
}

/// The programs are of another workspace, which the ordinary build does not see.
#[test]
fn every_target_has_its_program_and_its_corpus() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    let manifest = std::fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
    for (name, _) in TARGETS {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
        let program = fuzz.join(format!("fuzz_targets/{name}.rs"));
        let program = std::fs::read_to_string(program).unwrap();
        assert!(program.contains(&format!("webhooks_fuzz_targets::{name}(data)")));
        assert!(!corpus(name).is_empty());
    }
}

/// One input of the corpus with up to eight changes.
fn changed(corpus: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut input = rng.choice(corpus).unwrap().clone();
    for _ in 0..rng.usize(1..=8) {
        let at = rng.usize(..=input.len());
        let to = at + rng.usize(..=(input.len() - at).min(16));
        match rng.u8(..6) {
            0 => drop(input.drain(at..to)),
            1 => input.insert(at, rng.u8(..)),
            2 => input.insert(at, *rng.choice(b" \t\n,=.:/%@[]#0x19-_*\"{}").unwrap()),
            3 => {
                let part = input[at..to].to_vec();
                let times = rng.usize(1..=4);
                input.splice(at..at, part.repeat(times));
            }
            4 => {
                let other = rng.choice(corpus).unwrap();
                let from = rng.usize(..=other.len());
                let part = &other[from..(from + rng.usize(..=64)).min(other.len())];
                input.splice(at..to, part.iter().copied());
            }
            _ => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << rng.u8(..8);
                }
            }
        }
    }
    input
}

#[test]
fn any_response_has_a_meaning_within_its_bounds() {
    run("response");
}

#[test]
fn content_filters_say_what_a_plain_walk_says() {
    run("content_filter");
}

#[test]
fn filters_and_their_index_agree_with_a_comparison_of_segments() {
    run("filter_pattern");
}

#[test]
fn a_parsed_webhook_is_what_its_json_says() {
    run("payload");
}

#[test]
fn what_is_read_of_a_retry_after_is_what_it_says() {
    run("retry_after");
}

#[test]
fn signature_headers_are_judged_as_a_scanner_judges_them() {
    run("signature_header");
}

#[test]
fn urls_and_addresses_are_judged_as_the_plain_rules_say() {
    run("url_guard");
}
