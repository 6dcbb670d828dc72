//! Filters and data that are drawn from a printed seed, of few names and values, so that they meet.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use fastrand::Rng;
use serde_json::{Map, Value, json};
use webhooks_core::ContentFilter;
use webhooks_fuzz_targets::content_filter;

const ROUNDS: usize = 20_000;
/// Another seed; the default is the same in every run.
const SEED_VARIABLE: &str = "WEBHOOKS_FUZZ_SEED";
const DEFAULT_SEED: u64 = 0x5eed;

#[test]
fn drawn_filters_say_what_a_plain_walk_says() {
    let seed = std::env::var(SEED_VARIABLE).map_or(DEFAULT_SEED, |seed| seed.parse().unwrap());
    eprintln!("{SEED_VARIABLE}={seed}");
    let mut rng = Rng::with_seed(seed);
    for _ in 0..ROUNDS {
        let filter = json!({ "data": expression(&mut rng, 4) });
        assert!(ContentFilter::new(filter.clone()).is_ok(), "{filter}");
        let text = format!("{filter}\n{}", data(&mut rng, 4));
        content_filter(text.as_bytes());
    }
}

fn name(rng: &mut Rng) -> String {
    (*rng.choice(&["a", "b", "", "\u{1f511}"]).unwrap()).into()
}

fn number_or_text(rng: &mut Rng) -> Value {
    let values = [
        json!(0),
        json!(1),
        json!(1.0),
        json!(-0.5),
        json!(""),
        json!("a"),
        json!("ab"),
        json!("1"),
    ];
    rng.choice(values).unwrap()
}

fn value(rng: &mut Rng) -> Value {
    match rng.u8(..4) {
        0 => rng
            .choice([Value::Null, json!(true), json!(false)])
            .unwrap(),
        _ => number_or_text(rng),
    }
}

fn data(rng: &mut Rng, depth: usize) -> Value {
    match rng.u8(..6) {
        0 | 1 if depth > 0 => (0..rng.usize(..4)).map(|_| data(rng, depth - 1)).collect(),
        2..=4 if depth > 0 => {
            let fields = (0..rng.usize(..4)).map(|_| (name(rng), data(rng, depth - 1)));
            Value::Object(fields.collect())
        }
        _ => value(rng),
    }
}

/// One to three of something.
fn some<T>(rng: &mut Rng, mut of: impl FnMut(&mut Rng) -> T) -> Vec<T> {
    (0..rng.usize(1..=3)).map(|_| of(rng)).collect()
}

fn expression(rng: &mut Rng, depth: usize) -> Value {
    match rng.u8(..8) {
        _ if depth == 0 => value(rng),
        0 | 1 => value(rng),
        // No array of arrays.
        2 => some(rng, |rng| match expression(rng, depth - 1) {
            Value::Array(items) => items.into_iter().next().unwrap(),
            item => item,
        })
        .into(),
        _ => {
            let mut parts = Map::new();
            for _ in 0..rng.usize(..3) {
                let (name, part) = match rng.bool() {
                    true => (name(rng), expression(rng, depth - 1)),
                    false => operator(rng, depth - 1),
                };
                parts.insert(name, part);
            }
            parts.into()
        }
    }
}

fn operator(rng: &mut Rng, depth: usize) -> (String, Value) {
    let logic = ["$and", "$or"];
    let order = ["$gt", "$gte", "$lt", "$lte"];
    let (name, with) = match rng.u8(..7) {
        0 => (
            rng.choice(logic).unwrap(),
            some(rng, |rng| expression(rng, depth)).into(),
        ),
        1 => ("$not", expression(rng, depth)),
        2 => (rng.choice(order).unwrap(), number_or_text(rng)),
        3 => (rng.choice(["$eq", "$ne"]).unwrap(), value(rng)),
        4 => (
            rng.choice(["$in", "$nin"]).unwrap(),
            some(rng, value).into(),
        ),
        5 => ("$exist", rng.bool().into()),
        _ => {
            let texts = rng.choice([json!("a"), json!("b"), json!(["", "1"]), json!(["b", "a"])]);
            (
                rng.choice(["$startsWith", "$endsWith"]).unwrap(),
                texts.unwrap(),
            )
        }
    };
    (name.into(), with)
}
