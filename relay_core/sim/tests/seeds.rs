//! Seeds: no rule is broken, the same seed is the same run, and each mutant is found.
use telerelay_sim::{Mutant, Scenario, command, run};

/// Seeds of this test, and within how many each mutant must be found.
const SEEDS: u64 = 1_000;

#[test]
fn no_rule_is_broken() {
    for seed in 0..SEEDS {
        let outcome = run(&Scenario::from_seed(seed), None, false);
        if let Some(failure) = outcome.failure {
            panic!("seed {seed}: {failure}\n{}", command(seed, None));
        }
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in 0..30 {
        let [first, second] =
            [false, true].map(|traces| run(&Scenario::from_seed(seed), None, traces));
        assert_eq!(
            (first.hash, first.steps),
            (second.hash, second.steps),
            "seed {seed}"
        );
    }
    let [one, other] = [1, 2].map(|seed| run(&Scenario::from_seed(seed), None, false).hash);
    assert_ne!(one, other);
}

#[test]
fn every_mutant_is_found() {
    for mutant in Mutant::ALL {
        let found = (0..SEEDS).find(|&seed| {
            run(&Scenario::from_seed(seed), Some(mutant), false)
                .failure
                .is_some()
        });
        assert!(found.is_some(), "{mutant}");
    }
}
