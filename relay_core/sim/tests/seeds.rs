//! Seeds: no rule is broken, every corner is reached, the same seed is the same run, and each mutant is found.
use std::collections::BTreeSet;

use telerelay_sim::{Mutant, Scenario, command, corners, run};

/// Seeds of this test, and within how many each mutant must be found.
const SEEDS: u64 = 1_000;

/// What the seeds have to come through, so that a rule that holds was tried.
const CORNERS: &[&str] = &[
    // Every code by which a node ends an attempt, of its own or in the agent's words.
    "terminal ABSENT",
    "terminal AUDIT_UNAVAILABLE",
    "terminal BUSY",
    "terminal CLIENT_GONE",
    "terminal CUT",
    "terminal DENIED",
    "terminal DESKTOP_ABSENT",
    "terminal DESKTOP_LOST",
    "terminal DONE",
    "terminal DRAINED",
    "terminal INTERRUPTED",
    "terminal PATH_LOST",
    "terminal REVOKED",
    "terminal SESSION_GONE",
    "terminal TRY_LATER",
    "terminal VIEWER_GONE",
    // What a client says of it, and what no node can.
    "request ABSENT",
    "request AUDIT_UNAVAILABLE",
    "request BUSY",
    "request CUT",
    "request DENIED",
    "request DESKTOP_ABSENT",
    "request DESKTOP_LOST",
    "request DONE",
    "request DRAINED",
    "request INTERRUPTED",
    "request PATH_LOST",
    "request REVOKED",
    "request SESSION_GONE",
    "request TRY_LATER",
    "request UNREACHABLE",
    "request VIEWER_GONE",
    // Every frame between endpoints and nodes but PATH and SWITCH, which make the paths below.
    "frame HELLO",
    "frame WELCOME",
    "frame ERROR",
    "frame KEEPALIVE",
    "frame GOAWAY",
    "frame CUT",
    "frame NEWS",
    "frame INCOMING",
    "frame ACCEPT",
    "frame REFUSE",
    "frame CONNECT",
    "frame REDIRECT",
    "frame PAIRED",
    "frame SESSION_END",
    // Every frame of a session but DATA and ACK, without which none would be DONE.
    "frame AUTH_ASK",
    "frame AUTH_ANSWER",
    "frame AUTH_DONE",
    "frame NOTICE",
    "frame CONFIRM",
    "frame OPEN",
    "frame OPENED",
    "frame FIN",
    "frame PING",
    "frame PONG",
    "frame STANDBY",
    "frame MIGRATE",
    "frame RESUME",
    "frame RESUMED",
    "frame CLOSE",
    // Waiting for an agent.
    "absent at once",
    "gap wait won",
    "gap wait lost",
    // Clones, and who else is turned away at HELLO.
    "turned away ID_IN_USE",
    "silent clone lost its place",
    "turned away REVOKED",
    "turned away TRY_LATER",
    // How paths travel.
    "path Wrapped",
    "path Mixed",
    "path Direct",
    "no leg switched",
    "the agent's leg switched alone",
    "the client's leg switched alone",
    "the agent's leg switched first",
    "the client's leg switched first",
    "a client's direct leg did not prove itself",
    "an agent's direct leg did not prove itself",
    "asked for again wrapped, and opened",
    // What a session outlives.
    "resumed",
    "resume refused",
    "called to the standby",
    "dialled beside a silent path",
    "session without a path",
    "silent path given up",
    "viewer frozen for long",
];

#[test]
fn no_rule_is_broken_in_any_corner() {
    let mut left: BTreeSet<_> = CORNERS.iter().copied().collect();
    for seed in 0..SEEDS {
        let scenario = Scenario::from_seed(seed);
        let outcome = run(&scenario, None, false);
        if let Some(failure) = outcome.failure {
            panic!("seed {seed}: {failure}\n{}", command(seed, None));
        }
        for corner in corners(&scenario, &outcome.story).keys() {
            left.remove(corner.as_str());
        }
    }
    assert!(left.is_empty(), "no seed comes through {left:?}");
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
