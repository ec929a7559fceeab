//! What becomes of a session when its path, its node or its node's time is over; STANDBY and MIGRATE.
use std::time::Duration;

use telerelay_sim::{
    AgentPlan, Break, ClientPlan, Ends, Fault, Produces, ProgramPlan, Scenario, Target, What, Who,
};
use telerelay_wire::{Code, Moment};

use crate::told::{Told, play};

/// Runs of each scenario. Agents dial a random node first, so that in some of them the ready connection waits where the path is.
const RUNS: u64 = 16;

const SCREEN: u64 = 2_000_000;
const INPUT: u64 = 100_000;

/// When something happens to the path: in the middle of what the desktop has to say.
const HIT: Duration = Duration::from_secs(4);

/// How long a session of this agent lives without a path, in seconds.
const LIMIT: u32 = 60;

/// A session at one of two nodes that goes on for several seconds.
fn session(seed: u64, resume_limit: u32) -> Scenario {
    let slow = |bytes, ends| ProgramPlan {
        writes: 10_000,
        pause: (Duration::from_millis(20), Duration::from_millis(20)),
        ..ProgramPlan::eager(Produces::Bytes(bytes), ends)
    };
    let desktop = slow(SCREEN, Ends::WhenDone);
    Scenario {
        agents: vec![AgentPlan {
            resume_limit,
            ..AgentPlan::of(1, desktop)
        }],
        clients: vec![ClientPlan::of(1, 1, slow(INPUT, Ends::WhenDone))],
        ..Scenario::calm(seed, 2)
    }
}

fn hit(scenario: &Scenario, fault: Fault) -> Told {
    play(&Scenario {
        faults: vec![(HIT, fault)],
        ..scenario.clone()
    })
}

/// Where the path is when it is hit, and where the agent's ready connection waits.
#[derive(Clone, Copy, Debug)]
struct Places {
    path: usize,
    standby: usize,
}

fn places(scenario: &Scenario) -> Places {
    let told = play(scenario);
    told.brought(SCREEN, INPUT);
    Places {
        path: told.joined()[0].node,
        standby: last_standby(&told),
    }
}

fn last_standby(told: &Told) -> usize {
    let standby = told.all(|_, what| match what {
        What::Standby(node) => Some(*node),
        _ => None,
    });
    standby.last().expect("STANDBY is told").1
}

/// Sessions whose standby is another node than their path's, or the same.
fn sessions(resume_limit: u32, is_elsewhere: bool) -> Vec<(Scenario, Places)> {
    let sessions: Vec<_> = (0..RUNS)
        .map(|seed| session(seed, resume_limit))
        .map(|scenario| (scenario.clone(), places(&scenario)))
        .filter(|(_, places)| (places.path != places.standby) == is_elsewhere)
        .collect();
    assert!(!sessions.is_empty());
    sessions
}

/// The session went on by a second path, at this node, which was dialled first; nothing is lost, nothing comes twice.
fn went_on(told: &Told, node: usize) {
    assert!(told.ends(0).iter().all(|code| *code == Code::Done));
    told.brought(SCREEN, INPUT);
    let nodes: Vec<_> = told.joined().iter().map(|path| path.node).collect();
    assert_eq!(nodes[1..], [node]);
    let dials = told.all(|who, what| match (who, what) {
        (Who::Client(_), What::Dialled(node)) => Some(*node),
        _ => None,
    });
    let again = dials.iter().find(|&&(at, _)| at >= Moment::ZERO + HIT);
    assert_eq!(again.expect("it dials again").1, node);
    for end in [Who::Agent(0), Who::Client(0)] {
        assert_eq!(told.when(end, &What::Resumed { generation: 1 }).len(), 1);
        assert_eq!(told.session_ends(end), [Code::Done]);
    }
}

/// How often each attempt of the client had a terminal event, and the last one's code.
fn terminals(told: &Told) -> Vec<Vec<String>> {
    let attempts = told.attempts(0);
    attempts
        .into_iter()
        .map(|attempt| told.terminals(attempt))
        .map(|codes| codes.iter().map(|(_, code)| code.to_string()).collect())
        .collect()
}

/// What becomes of the report of a path at this node: it is made where the agent's ready connection waits, and a node that waits
/// for it elsewhere waits in vain.
fn reported(told: &Told, node: usize) -> &'static str {
    if last_standby(told) == node {
        "DONE"
    } else {
        "PATH_LOST"
    }
}

fn kill(node: usize, is_silent: bool) -> Fault {
    Fault::KillNode {
        node,
        is_silent,
        returns: None,
    }
}

#[test]
fn a_session_whose_node_dies_goes_on_at_the_standby() {
    for (scenario, places) in sessions(LIMIT, true) {
        for is_silent in [false, true] {
            let told = hit(&scenario, kill(places.path, is_silent));
            went_on(&told, places.standby);
            assert!(!told.ever(&What::Disconnected).is_empty());
            // What died with its node is for that node's next start to close.
            assert_eq!(terminals(&told), [vec![], vec!["DONE".to_owned()]]);
        }
    }
}

#[test]
fn a_session_that_nothing_resumes_ends_with_its_node() {
    for seed in 0..RUNS {
        let scenario = session(seed, 0);
        let told = hit(&scenario, kill(places(&scenario).path, false));
        ends_with_its_path(&told);
        assert_eq!(terminals(&told), [Vec::<String>::new()]);
    }
}

#[test]
fn a_session_that_nothing_resumes_ends_with_its_path() {
    for seed in 0..RUNS {
        let told = hit(
            &session(seed, 0),
            Fault::Break(Target::ClientsPath, Break::Reset),
        );
        ends_with_its_path(&told);
        assert_eq!(terminals(&told), [vec!["PATH_LOST".to_owned()]]);
    }
}

/// Both ends notice at once and say so once; nothing is asked for again.
fn ends_with_its_path(told: &Told) {
    assert_eq!(told.ends(0), [Code::PathLost]);
    assert_eq!(told.joined().len(), 1);
    for end in [Who::Agent(0), Who::Client(0)] {
        assert_eq!(told.session_ends(end), [Code::PathLost]);
    }
    let ended = told.all(|_, what| matches!(what, What::SessionEnded { .. }).then_some(()));
    let soon = Moment::ZERO + HIT + Duration::from_secs(1);
    assert!(ended.iter().all(|&(at, ())| at < soon), "{ended:?}");
    assert!(told.session().screen.written < SCREEN);
}

#[test]
fn a_lost_path_is_asked_for_again_at_the_standby() {
    for is_elsewhere in [true, false] {
        for (scenario, places) in sessions(LIMIT, is_elsewhere) {
            let told = hit(&scenario, Fault::Break(Target::ClientsPath, Break::Reset));
            went_on(&told, places.standby);
            let reported = reported(&told, places.standby);
            assert_eq!(terminals(&told), [["PATH_LOST"], [reported]]);
        }
    }
}

#[test]
fn a_session_that_is_called_to_the_standby_is_never_without_a_path() {
    for is_elsewhere in [true, false] {
        for (scenario, places) in sessions(LIMIT, is_elsewhere) {
            let told = hit(&scenario, Fault::Migrate(0));
            went_on(&told, places.standby);
            assert_eq!(told.ever(&What::Disconnected), []);
            assert_eq!(told.when(Who::Client(0), &What::Called).len(), 1);
            let reported = [places.path, places.standby].map(|node| [reported(&told, node)]);
            assert_eq!(terminals(&told), reported);
        }
    }
}

fn drain(node: usize, grace: Duration) -> Fault {
    Fault::DrainNode { node, grace }
}

#[test]
fn a_node_that_is_drained_lets_what_runs_come_to_its_end() {
    for is_elsewhere in [true, false] {
        for (scenario, places) in sessions(LIMIT, is_elsewhere) {
            let told = hit(&scenario, drain(places.path, Duration::from_mins(1)));
            assert_eq!(told.ends(0).last().expect("it ends"), &Code::Done);
            told.brought(SCREEN, INPUT);
        }
    }
}

#[test]
fn a_node_that_is_drained_takes_nothing_new() {
    for seed in 0..RUNS {
        let mut scenario = session(seed, 0);
        scenario.nodes.truncate(1);
        let late = ClientPlan {
            starts: HIT + Duration::from_secs(1),
            ..scenario.clients[0]
        };
        scenario.clients.push(ClientPlan { device: 2, ..late });
        let told = hit(&scenario, drain(0, Duration::from_mins(1)));
        // It is called to a standby that takes nobody.
        assert_eq!(told.ends(0), [Code::TryLater, Code::Done]);
        told.brought(SCREEN, INPUT);
        assert_eq!(told.ends(1), [Code::TryLater]);
    }
}

#[test]
fn a_session_that_outlasts_its_nodes_time_is_drained_once() {
    for seed in 0..RUNS {
        let mut scenario = session(seed, 0);
        scenario.nodes.truncate(1);
        let grace = Duration::from_secs(1);
        let told = hit(&scenario, drain(0, grace));
        assert_eq!(told.ends(0), [Code::TryLater, Code::Drained]);
        for end in [Who::Agent(0), Who::Client(0)] {
            assert_eq!(told.session_ends(end), [Code::Drained]);
        }
        // The request beside was refused at HELLO.
        assert_eq!(terminals(&told), [vec!["DRAINED".to_owned()], vec![]]);
        let attempt = told.attempts(0)[0];
        assert!(told.terminals(attempt)[0].0 >= Moment::ZERO + HIT + grace);
    }
}
