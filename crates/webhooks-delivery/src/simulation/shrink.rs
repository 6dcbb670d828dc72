//! The shortest run that still breaks the same rule, and what is told of it.

use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::happening::Planned;
use super::plan::{Faults, Plan};
use super::trace::Violation;
use super::world::World;

/// Lines of the trace that are told.
const LINES: usize = 60;
/// Runs made to find a shorter one.
const TRIES: usize = 300;

/// What came of a run.
pub(super) struct Ran {
    pub(super) outcome: Result<(), Violation>,
    pub(super) lines: Vec<String>,
}

/// Runs a plan to its end, or to the first rule that is broken.
pub(super) fn run(plan: &Plan, is_traced: bool) -> Ran {
    let mut world = World::new(plan, is_traced);
    let outcome = catch_unwind(AssertUnwindSafe(|| world.run())).map_err(|payload| {
        payload
            .downcast::<Violation>()
            .map_or_else(panicked, |violation| *violation)
    });
    Ran {
        outcome,
        lines: std::mem::take(&mut world.trace.lines),
    }
}

fn panicked(payload: Box<dyn std::any::Any + Send>) -> Violation {
    let text = payload.downcast_ref::<String>().cloned();
    let text = text.or_else(|| {
        payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
    });
    Violation {
        rule: "nothing panics",
        text: text.unwrap_or_default(),
    }
}

/// Tells of a plan that breaks a rule.
pub(super) fn report(plan: Plan, violation: Violation) -> String {
    let (planned, seed) = (plan.happenings.len(), plan.seed);
    let (plan, violation) = shrink(plan, violation);
    let mut text = format!(
        "seed {seed} breaks a rule: {}\n  {}\n",
        violation.rule, violation.text
    );
    let kept = plan.happenings.len();
    let _ = writeln!(
        text,
        "{:?}, {} nodes, {kept} of {planned} happenings:",
        plan.class, plan.nodes
    );
    let _ = writeln!(
        text,
        "{:?}\n{:?} {:?}",
        plan.settings, plan.circuit, plan.faults
    );
    for Planned { ms, happening } in &plan.happenings {
        let _ = writeln!(text, "  {ms} {happening:?}");
    }
    let lines = run(&plan, true).lines;
    let first = lines.len().saturating_sub(LINES);
    for line in &lines[first..] {
        let _ = writeln!(text, "{line}");
    }
    text
}

/// Leaves out what is not needed for the same rule to be broken.
fn shrink(mut plan: Plan, mut violation: Violation) -> (Plan, Violation) {
    let mut tries = 0;
    let mut breaks = |plan: &Plan| {
        tries += 1;
        let outcome = run(plan, false).outcome;
        let same = outcome.err().filter(|other| other.rule == violation.rule);
        (tries < TRIES, same)
    };
    let without_faults = Plan {
        faults: Faults::default(),
        ..plan.clone()
    };
    if let (_, Some(other)) = breaks(&without_faults) {
        (plan, violation.text) = (without_faults, other.text);
    }
    let mut chunk = plan.happenings.len().div_ceil(2);
    while chunk > 0 {
        let mut from = 0;
        while from < plan.happenings.len() {
            let mut shorter = plan.clone();
            let to = (from + chunk).min(shorter.happenings.len());
            shorter.happenings.drain(from..to);
            let (goes_on, broken) = breaks(&shorter);
            match broken {
                Some(other) => (plan, violation.text) = (shorter, other.text),
                None => from = to,
            }
            if !goes_on {
                return (plan, violation);
            }
        }
        chunk /= 2;
    }
    (plan, violation)
}
