//! Who gets an agent's ready connection, and who waits for it.
use std::time::Duration;

use telerelay_sim::{
    AgentPlan, Break, ClientPlan, Ends, Fault, Produces, ProgramPlan, Scenario, Target, What, Who,
};
use telerelay_wire::{Code, Moment, Reason, limits};

use crate::told::{Told, play};

/// Runs of each scenario, whose jitter differs.
const RUNS: u64 = 20;

const DESKTOP: ProgramPlan = ProgramPlan::eager(Produces::Bytes(50_000), Ends::BehindTheOther);
const VIEWER: ProgramPlan = ProgramPlan::eager(Produces::Bytes(1_000), Ends::WhenDone);

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Two clients that ask at the same moment.
fn race(seed: u64) -> Scenario {
    // A person who looks at the screen until the other one has his answer.
    let viewer = ProgramPlan::eager(Produces::Bytes(1_000), Ends::Abruptly(secs(10)));
    Scenario {
        agents: vec![AgentPlan::of(1, DESKTOP)],
        clients: vec![ClientPlan::of(1, 1, viewer), ClientPlan::of(2, 1, viewer)],
        ..Scenario::calm(seed, 1)
    }
}

/// The two attempts of a race: who was served at once, who waited.
fn winner_and_loser(told: &Told) -> [usize; 2] {
    let waited = [0, 1].map(|client| {
        let [attempt] = told.attempts(client)[..] else {
            panic!("client {client} asks once");
        };
        told.waited(attempt).expect("INCOMING left for both")
    });
    assert!(waited.iter().all(|&waited| waited <= limits::GAP_WAIT));
    match waited {
        [Duration::ZERO, other] if other > Duration::ZERO => [0, 1],
        [other, Duration::ZERO] if other > Duration::ZERO => [1, 0],
        _ => panic!("one is served at once, the other waits: {waited:?}"),
    }
}

/// Between two INCOMING for an agent stands a new ready connection.
fn every_claim_has_a_leg_of_its_own(told: &Told) {
    let legs = told.all(|_, what| match what {
        What::Welcomed(Who::Agent(_)) => Some(true),
        What::Claimed { .. } => Some(false),
        _ => None,
    });
    let legs: Vec<_> = legs.into_iter().map(|(_, is_leg)| is_leg).collect();
    assert_eq!(legs[..4], [true, false, true, false]);
}

#[test]
fn of_two_who_race_one_wins_and_the_other_waits_for_the_next_leg() {
    for seed in 0..RUNS {
        let told = play(&race(seed));
        let [winner, loser] = winner_and_loser(&told);
        every_claim_has_a_leg_of_its_own(&told);
        let joined: Vec<_> = told.joined().iter().map(|path| path.client).collect();
        assert_eq!(joined, [winner, loser].map(Who::Client));
        for client in [winner, loser] {
            assert_eq!(told.ends(client), [Code::ViewerGone]);
            let terminals = told.terminals(told.attempts(client)[0]);
            assert_eq!(codes(&terminals), [Code::ViewerGone]);
        }
    }
}

#[test]
fn of_two_who_race_the_other_is_told_busy_where_the_computer_has_one_session() {
    for seed in 0..RUNS {
        let mut scenario = race(seed);
        scenario.agents[0].most_sessions = 1;
        let told = play(&scenario);
        let [winner, loser] = winner_and_loser(&told);
        every_claim_has_a_leg_of_its_own(&told);
        let joined: Vec<_> = told.joined().iter().map(|path| path.client).collect();
        assert_eq!(joined, [Who::Client(winner)]);
        for (client, code) in [(winner, Code::ViewerGone), (loser, Code::Busy)] {
            assert_eq!(told.ends(client), [code]);
            let terminals = told.terminals(told.attempts(client)[0]);
            assert_eq!(codes(&terminals), [code]);
        }
    }
}

/// An agent dies at its fifth second; a client asks at `asks`.
fn gap(seed: u64, returns: Option<Duration>, asks: Duration) -> Scenario {
    let mut client = ClientPlan::of(1, 1, VIEWER);
    client.starts = asks;
    let dies = Fault::KillAgent {
        agent: 0,
        is_silent: false,
        returns,
    };
    Scenario {
        agents: vec![AgentPlan::of(1, DESKTOP)],
        clients: vec![client],
        faults: vec![(secs(5), dies)],
        runs_for: secs(120),
        ..Scenario::calm(seed, 1)
    }
}

/// How long the only attempt waited until it was told that nobody is there.
fn absent_after(told: &Told) -> Duration {
    assert_eq!(told.ends(0), [Code::Absent]);
    let [attempt] = told.attempts(0)[..] else {
        panic!("it asks once");
    };
    assert_eq!(told.waited(attempt), None);
    let terminals = told.terminals(attempt);
    assert_eq!(codes(&terminals), [Code::Absent]);
    terminals[0].0.since(told.routed(attempt))
}

#[test]
fn in_the_gap_a_request_waits_until_the_agent_is_back() {
    for seed in 0..RUNS {
        let told = play(&gap(seed, Some(secs(1)), Duration::from_millis(5_300)));
        assert_eq!(told.ends(0), [Code::Done]);
        told.brought(50_000, 1_000);
        let waited = told.waited(told.attempts(0)[0]).expect("it is served");
        assert!(
            Duration::ZERO < waited && waited <= limits::GAP_WAIT,
            "{waited:?}"
        );
    }
}

#[test]
fn an_agent_that_does_not_come_back_is_absent_when_the_wait_is_over() {
    for seed in 0..RUNS {
        let told = play(&gap(seed, None, Duration::from_millis(5_300)));
        assert_eq!(absent_after(&told), limits::GAP_WAIT);
        // Just before the node forgets that it was there.
        let told = play(&gap(seed, None, secs(4) + limits::GAP_MEMORY));
        assert_eq!(absent_after(&told), limits::GAP_WAIT);
    }
}

#[test]
fn an_agent_that_nobody_remembers_is_absent_at_once() {
    for seed in 0..RUNS {
        let told = play(&gap(seed, None, secs(6) + limits::GAP_MEMORY));
        assert_eq!(absent_after(&told), Duration::ZERO);
        let mut never = gap(seed, None, secs(2));
        (never.agents, never.faults) = (Vec::new(), Vec::new());
        assert_eq!(absent_after(&play(&never)), Duration::ZERO);
    }
}

/// A cloned disk: the second machine is started at the fifth second.
fn clones(seed: u64) -> Scenario {
    let mut clone = AgentPlan::of(1, DESKTOP);
    clone.starts = secs(5);
    Scenario {
        agents: vec![AgentPlan::of(1, DESKTOP), clone],
        ..Scenario::calm(seed, 1)
    }
}

/// When an agent was told that another machine runs with its certificate; always with the same `retry`.
fn told_in_use(told: &Told, agent: usize) -> Vec<Moment> {
    let refused = told.all(|_, what| match what {
        What::TurnedAway { whom, code, retry } if *whom == Who::Agent(agent) => {
            Some((code.clone(), *retry))
        }
        _ => None,
    });
    let retry = u32::try_from(limits::ID_IN_USE_RETRY.as_secs()).ok();
    let in_use = Reason::from(Code::IdInUse);
    assert!(
        refused
            .iter()
            .all(|(_, said)| *said == (in_use.clone(), retry))
    );
    refused.into_iter().map(|(at, _)| at).collect()
}

fn dials(told: &Told, agent: usize) -> Vec<Moment> {
    told.when(Who::Agent(agent), &What::Dialled(0))
}

#[test]
fn of_two_clones_the_living_old_one_stays_and_the_new_one_keeps_away() {
    for seed in 0..RUNS {
        let told = play(&Scenario {
            runs_for: secs(1_000),
            ..clones(seed)
        });
        assert_eq!(dials(&told, 0).len(), 1);
        assert_eq!(told.when(Who::Node(0), &What::PutOut(Who::Agent(0))), []);
        assert_eq!(told.when(Who::Node(0), &What::Welcomed(Who::Agent(1))), []);
        let (refused, dials) = (told_in_use(&told, 1), dials(&told, 1));
        assert_eq!(refused.len(), dials.len());
        assert!((2..=4).contains(&dials.len()), "{dials:?}");
        for (refused, next) in refused.iter().zip(&dials[1..]) {
            assert!(next.since(*refused) >= limits::ID_IN_USE_RETRY);
        }
    }
}

#[test]
fn of_two_clones_a_silent_old_one_loses_and_keeps_away_when_it_speaks_again() {
    for seed in 0..RUNS {
        let mut scenario = clones(seed);
        scenario.runs_for = secs(450);
        scenario.faults = vec![(secs(4), Fault::Break(Target::Ready, Break::Hole))];
        let told = play(&scenario);
        let [welcomed] = told.when(Who::Node(0), &What::Welcomed(Who::Agent(1)))[..] else {
            panic!("the new one wins once");
        };
        let put_out = told.when(Who::Node(0), &What::PutOut(Who::Agent(0)));
        assert_eq!(put_out, [welcomed]);
        let contest = welcomed.since(dials(&told, 1)[0]);
        let longest = limits::CLONE_PING + secs(1);
        assert!(
            (limits::CLONE_PING..longest).contains(&contest),
            "{contest:?}"
        );
        // The line of the old one is whole again: it is the newcomer now.
        assert_eq!(told.when(Who::Node(0), &What::PutOut(Who::Agent(1))), []);
        let refused = told_in_use(&told, 0);
        let dials = &dials(&told, 0)[1..];
        assert!(
            !refused.is_empty() && refused.len() == dials.len(),
            "{dials:?}"
        );
        for (refused, next) in refused.iter().zip(&dials[1..]) {
            assert!(next.since(*refused) >= limits::ID_IN_USE_RETRY);
        }
    }
}

fn codes(told: &[(Moment, Reason)]) -> Vec<Reason> {
    told.iter().map(|(_, code)| code.clone()).collect()
}
