//! Each error that can be built in is found by what these tests check: a check that cannot fail proves nothing.
use std::time::Duration;

use telerelay_session::Mutant;

use crate::alone::{new_agent, new_client};
use crate::pair::Pair;

fn pair(mutant: Mutant) -> Pair {
    Pair::with(
        new_agent(600, &[]).with_mutant(mutant),
        new_client().with_mutant(mutant),
    )
}

#[test]
#[should_panic(expected = "more arrived than was sent")]
fn a_replay_that_is_kept_is_found_by_the_offsets() {
    let mut pair = pair(Mutant::ReplayKept);
    pair.viewer.frozen = true;
    pair.desktop.writes = Some(200_000);
    pair.run_for(Duration::from_secs(1));
    let path = pair.client.sending_path().unwrap();
    pair.break_path(path);
    pair.run_for(Duration::from_secs(1));
    pair.viewer.frozen = false;
    pair.run_for(Duration::from_secs(1));
}

#[test]
#[should_panic(expected = "told before it was written")]
fn an_early_acknowledgement_is_found_by_its_count() {
    let mut pair = pair(Mutant::AckBeforeWrite);
    pair.viewer.frozen = true;
    pair.desktop.writes = Some(200_000);
    pair.run_for(Duration::from_secs(1));
}

#[test]
#[should_panic(expected = "an old generation was accepted")]
fn an_old_generation_is_found_by_its_number() {
    let mut pair = pair(Mutant::OldGenerationAccepted);
    pair.latency = Duration::from_millis(50);
    pair.dial();
    pair.latency = Duration::from_millis(1);
    pair.dial();
    pair.run_for(Duration::from_secs(1));
}
