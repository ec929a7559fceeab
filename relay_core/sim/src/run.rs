//! One run, and what came of it; a sweep over many seeds.
use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use telerelay_wire::Moment;
use telerelay_wire::ids::SessionId;

use crate::invariants::Broken;
use crate::ledger::SessionBook;
use crate::mutant::Mutant;
use crate::scenario::Scenario;
use crate::story::Fact;
use crate::world::World;

/// A rule that was broken, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Virtual time.
    pub at: Moment,
    /// The rule.
    pub broken: Broken,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {} {}", self.at, self.broken)
    }
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The first rule that was broken.
    pub failure: Option<Failure>,
    /// Of everything that happened.
    pub hash: u64,
    /// How many things happened.
    pub steps: u64,
    /// Virtual time at the end.
    pub ended: Moment,
    /// What happened, in the order of time.
    pub story: Vec<Fact>,
    /// The bytes of every session that was opened.
    pub sessions: BTreeMap<SessionId, SessionBook>,
    /// What happened, one line each, where it was asked for.
    pub lines: Vec<String>,
}

/// Runs a scenario to its end. With `keeps_lines` the outcome tells what happened.
pub fn run(scenario: &Scenario, mutant: Option<Mutant>, keeps_lines: bool) -> Outcome {
    let world = World::new(scenario, mutant, keeps_lines);
    let outcome = catch_unwind(AssertUnwindSafe(|| world.run()));
    outcome.unwrap_or_else(|panic| {
        let said = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("a panic without words");
        let broken = Broken {
            rule: "nobody_panics",
            section: "§4",
            detail: said.to_owned(),
        };
        Outcome {
            failure: Some(Failure {
                at: Moment::ZERO,
                broken,
            }),
            hash: 0,
            steps: 0,
            ended: Moment::ZERO,
            story: Vec::new(),
            sessions: BTreeMap::new(),
            lines: Vec::new(),
        }
    })
}

/// The one command that runs this seed again and tells what happened.
pub fn command(seed: u64, mutant: Option<Mutant>) -> String {
    match mutant {
        None => format!("cargo run -p telerelay-sim -- --seed {seed} --trace"),
        Some(mutant) => format!(
            "cargo run -p telerelay-sim --features mutants -- --seed {seed} --mutant {mutant} --trace"
        ),
    }
}
