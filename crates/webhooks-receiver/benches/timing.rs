//! Whether the time of a verification tells how much of a signature is right.
//!
//! A measurement in the manner of dudect (Reparaz, Balasch, Verbauwhede, "Dude, is my code constant
//! time?", 2017): candidates of several classes in a random order, the time of each, and Welch's t
//! between classes. A |t| over 4.5 means that the times differ; that a |t| is small means only that
//! this many measurements show no difference.
//!
//! `cargo bench -p webhooks-receiver --bench timing`

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement prints, and stops where it fails"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "what is measured is the time it takes"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use fastrand::Rng;
use http::{HeaderMap, HeaderName, HeaderValue};
use webhooks_core::{SigningKey, decode_hex};
use webhooks_receiver::WebhookReceiver;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NOW: i64 = 1_750_000_000;
/// Measurements of each class, after those that warm up.
const ROUNDS: usize = 400_000;
const WARM_UP: usize = 1_000;
/// Over this the times differ (dudect's threshold).
const DIFFERENT: f64 = 4.5;
/// Slower ones than this part of all are left out: interrupts, not the code.
const KEPT: f64 = 0.95;

/// Candidates that are wrong in the same places, and how long each took.
struct Class {
    name: &'static str,
    /// Whether a byte of the MAC is wrong.
    wrong: fn(usize) -> bool,
    times: Vec<f64>,
}

impl Class {
    fn new(name: &'static str, wrong: fn(usize) -> bool) -> Self {
        Self {
            name,
            wrong,
            times: Vec::with_capacity(ROUNDS),
        }
    }

    /// A message and its header.
    ///
    /// Every one is new, so that the digits of all classes are as random as those of right
    /// signatures: reading them may take longer for some, which tells nothing that is secret.
    fn candidate(&self, key: &SigningKey, random: &mut Rng) -> (HeaderMap, String) {
        let body = format!("{{\"data\":{:020}}}", random.u64(..));
        let mut mac = key.sign(NOW, body.as_bytes());
        for (at, byte) in mac.iter_mut().enumerate() {
            let change = random.u8(1..);
            *byte ^= if (self.wrong)(at) { change } else { 0 };
        }
        let hex: String = mac.iter().map(|byte| format!("{byte:02x}")).collect();
        let value = HeaderValue::try_from(format!("t={NOW},v1={hex}")).unwrap();
        let name = HeaderName::from_static("x-webhook-signature");
        (HeaderMap::from_iter([(name, value)]), body)
    }
}

/// Mean and variance of the mean.
fn mean(times: &[f64]) -> (f64, f64) {
    let count = times.iter().map(|_| 1.0).sum::<f64>();
    let mean = times.iter().sum::<f64>() / count;
    let squares: f64 = times.iter().map(|time| (time - mean).powi(2)).sum();
    (mean, squares / (count - 1.0) / count)
}

/// Welch's t between two classes.
fn welch(one: &[f64], other: &[f64]) -> f64 {
    let ((mean_one, variance_one), (mean_other, variance_other)) = (mean(one), mean(other));
    (mean_one - mean_other) / (variance_one + variance_other).sqrt()
}

/// The same bound for all classes, so that leaving out prefers none.
fn without_the_slowest(classes: &mut [Class]) {
    let mut all: Vec<f64> = classes.iter().flat_map(|c| &c.times).copied().collect();
    let kept = Duration::from_secs(all.len() as u64)
        .mul_f64(KEPT)
        .as_secs();
    let kept = usize::try_from(kept).unwrap();
    let (_, bound, _) = all.select_nth_unstable_by(kept, f64::total_cmp);
    let bound = *bound;
    for class in classes {
        class.times.retain(|time| *time < bound);
    }
}

fn measure(classes: &mut [Class], verify: impl Fn(&HeaderMap, &[u8]) -> bool) {
    let key = SigningKey::new(SECRET.as_bytes());
    let mut random = Rng::with_seed(1);
    for round in 0..ROUNDS + WARM_UP {
        random.shuffle(classes);
        for class in &mut *classes {
            let (headers, body) = black_box(class.candidate(&key, &mut random));
            let started = Instant::now();
            let _verdict = black_box(verify(&headers, body.as_bytes()));
            let took = started.elapsed();
            if round >= WARM_UP {
                class.times.push(took.as_secs_f64() * 1e9);
            }
        }
    }
    classes.sort_by_key(|class| class.name);
    without_the_slowest(classes);
    for class in classes {
        let count = class.times.len();
        let mean = mean(&class.times).0;
        println!("{:<28} {mean:8.2} ns, {count} times", class.name);
    }
}

fn compare(one: &Class, other: &Class) {
    let t = welch(&one.times, &other.times);
    let word = if t.abs() > DIFFERENT {
        "DIFFERENT"
    } else {
        "no difference shown"
    };
    println!("{} against {}: t = {t:.2}, {word}", one.name, other.name);
}

/// What nobody should write: it stops at the first byte that is wrong.
fn stops_early(key: &SigningKey, headers: &HeaderMap, body: &[u8]) -> bool {
    let header = headers.values().next().unwrap().to_str().unwrap();
    let presented = decode_hex(header.rsplit('=').next().unwrap()).unwrap();
    let right = key.sign(NOW, body);
    right.iter().zip(&presented).all(|(a, b)| a == black_box(b))
}

fn main() {
    let first = || Class::new("b: first byte wrong", |at| at == 0);
    let last = || Class::new("c: last byte wrong", |at| at == 31);

    println!("the receiver");
    let receiver = WebhookReceiver::new(SECRET);
    let mut classes = [
        Class::new("a: right", |_| false),
        first(),
        last(),
        Class::new("d: every byte wrong", |_| true),
        // What the measurement itself shows between two that are the same.
        Class::new("e: first byte wrong, again", |at| at == 0),
    ];
    let verify = |headers: &_, body: &_| receiver.verify_at(headers, body, NOW).is_ok();
    measure(&mut classes, verify);
    let [a, b, c, d, e] = &classes;
    for (one, other) in [(b, e), (b, c), (b, d), (c, d), (a, b)] {
        compare(one, other);
    }

    println!("\na comparison that stops at the first wrong byte, to see what that looks like");
    let key = SigningKey::new(SECRET.as_bytes());
    let mut classes = [first(), last()];
    measure(&mut classes, |headers, body| {
        stops_early(&key, headers, body)
    });
    let [b, c] = &classes;
    compare(b, c);

    println!(
        "\nThe receiver's first comparison is of a class with itself: what it shows is noise. The \
         others\nare what a forger could use: a |t| over {DIFFERENT}, again and again, would tell \
         how far a guess is\nright. The last pair shows that such a difference would be seen here."
    );
}
